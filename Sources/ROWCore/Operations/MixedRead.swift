extension SessionState {
    /// A READ whose bytes lie in several places: runs, in order and without gaps, that cover its range.
    public struct MixedRead {
        /// Bytes that all come from one source.
        public struct Run {
            /// Index into ``MixedRead/sources``.
            public let source: Int
            public let range: Range<UInt64>
        }

        /// Each layer at most once, and so main and zeros.
        public private(set) var sources: [ByteSource] = []
        public private(set) var runs: [Run] = []

        /// Where bytes of main lie; nil when there are none.
        public private(set) var main: Int?
        private var zeros: Int?

        mutating func appendMain(_ range: Range<UInt64>) {
            let source = main ?? add(.main)
            main = source
            append(range, from: source)
        }

        mutating func appendZeros(_ range: Range<UInt64>) {
            let source = zeros ?? add(.zeros)
            zeros = source
            append(range, from: source)
        }

        /// - Parameter source: its index.
        mutating func append(_ range: Range<UInt64>, from source: Int) {
            if let last = runs.last, last.source == source {
                runs[runs.count - 1] = Run(
                    source: source, range: last.range.lowerBound..<range.upperBound)
            } else {
                runs.append(Run(source: source, range: range))
            }
        }

        /// - Returns: its index, once it has been added.
        func source(ofLayer number: Int64) -> Int? {
            for index in sources.indices {
                switch sources[index] {
                case .shadow(_, number): return index
                case .remote(let file) where file.layer == number: return index
                default: continue
                }
            }
            return nil
        }

        /// - Returns: its index.
        mutating func add(_ source: ByteSource) -> Int {
            sources.append(source)
            return sources.count - 1
        }
    }
}
