import XDR

/// The linked lists of the XDR language (`struct node { …; node *next; }`, RFC 4506 §4.19): before each
/// element a true boolean, after the last one a false boolean. The record itself bounds their length.
extension Decoder {
    @_lifetime(self: copy self)
    mutating func decodeList<T: XDRDecodable>(of _: T.Type) throws(XDRError) -> [T] {
        var elements: [T] = []
        while try decodeBool() { elements.append(try T(from: &self)) }
        return elements
    }
}

extension OutputRawSpan {
    @_lifetime(self: copy self)
    mutating func encodeList<T: XDREncodable>(_ elements: [T]) {
        for element in elements {
            encode(true)
            element.encode(into: &self)
        }
        encode(false)
    }
}

/// The size of `elements` as a linked list, in bytes.
func listEncodedSize<T: XDREncodable>(_ elements: [T]) -> Int {
    elements.reduce(4) { $0 + 4 + $1.encodedSize }
}
