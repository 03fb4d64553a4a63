import Foundation
import Testing

/// Compares line by line and reports only what differs.
func expectSameLines(
    _ actual: String, _ expected: String, _ comment: String,
    at location: SourceLocation = #_sourceLocation
) {
    let difference = actual.split(separator: "\n").difference(from: expected.split(separator: "\n"))
    let lines = difference.prefix(40).map { change in
        switch change {
        case .insert(_, let line, _): "+ \(line)"
        case .remove(_, let line, _): "- \(line)"
        }
    }
    #expect(lines == [], "\(comment)", sourceLocation: location)
}

/// The part of a workload's output that the guest's `tree` printed.
func treeLines(of output: String) -> String {
    guard let start = output.range(of: ".: directory")?.lowerBound else { return "" }
    return String(output[start...])
}
