import COpenDHT
import Dispatch
import Foundation
import Glibc
import Synchronization

/// A node of the distributed hash table.
///
/// Callbacks come on the library's thread. They copy what they get, and never wait.
final class Node: Sendable {
    /// Values that are kept so that the same one is put again: one put anew would be a second one.
    private static let keptValuesMaximum = 4096

    private struct Kept {
        var values: [Data: Value] = [:]
        var order: [Data] = []
    }

    // The library's objects may be used from any thread.
    private struct Value: @unchecked Sendable { let pointer: OpaquePointer }

    nonisolated(unsafe) private let runner: OpaquePointer
    private let output: Output
    private let kept = Mutex(Kept())

    /// Starts a node.
    /// - Parameter port: UDP; 0 for any.
    /// - Returns: nil when it cannot have the port.
    init?(port: UInt16, bootstrap: [(host: String, port: String)], output: Output) {
        guard let runner = dht_runner_new() else { return nil }
        var configuration = dht_runner_config()
        dht_runner_config_default(&configuration)
        configuration.threaded = true
        guard dht_runner_run_config(runner, port, &configuration) == 0,
            dht_runner_is_running(runner)
        else { return nil }
        self.runner = runner
        self.output = output
        for peer in bootstrap { dht_runner_bootstrap(runner, peer.host, peer.port) }
    }

    var port: Int {
        let port = dht_runner_get_bound_port(runner, sa_family_t(AF_INET))
        return Int(port != 0 ? port : dht_runner_get_bound_port(runner, sa_family_t(AF_INET6)))
    }

    var goodNodes: Int { Int(copendht_good_nodes(runner)) }

    /// Reads the values of a key and sends each as it comes.
    func get(_ key: dht_infohash, _ request: Request) {
        let call = GetCall(request, node: self, output: output)
        call.endAtDeadline(request.deadline)
        var key = key
        dht_runner_get(
            runner, &key,
            { value, context in
                let call = Unmanaged<GetCall>.fromOpaque(context!).takeUnretainedValue()
                if let value { call.received(dht_value_get_data(value)) }
                return true
            },
            { ok, context in
                Unmanaged<GetCall>.fromOpaque(context!).takeRetainedValue().finish(ok: ok)
            }, Unmanaged.passRetained(call).toOpaque())
    }

    /// Adds a value under a key, or has it kept for longer.
    func put(_ key: dht_infohash, _ bytes: Data, _ request: Request) {
        let call = Call(request.id, node: self, output: output)
        call.endAtDeadline(request.deadline)
        let value = value(bytes, under: key)
        defer { dht_value_unref(value) }
        var key = key
        dht_runner_put(
            runner, &key, value,
            { ok, context in
                Unmanaged<Call>.fromOpaque(context!).takeRetainedValue().finish(ok: ok)
            }, Unmanaged.passRetained(call).toOpaque(), false)
    }

    /// - Returns: a reference of the caller's.
    private func value(_ bytes: Data, under key: dht_infohash) -> OpaquePointer {
        let name = withUnsafeBytes(of: key) { Data($0) } + bytes
        return kept.withLock { kept in
            if let value = kept.values[name] { return dht_value_ref(value.pointer) }
            let value = bytes.withUnsafeBytes { buffer in
                dht_value_new(
                    buffer.bindMemory(to: UInt8.self).baseAddress, buffer.count)!
            }
            kept.values[name] = Value(pointer: value)
            kept.order.append(name)
            if kept.order.count > Self.keptValuesMaximum,
                let oldest = kept.values.removeValue(forKey: kept.order.removeFirst())
            {
                dht_value_unref(oldest.pointer)
            }
            return dht_value_ref(value)
        }
    }

    /// Leaves, and waits for that.
    func shutdown() {
        let ended = DispatchSemaphore(value: 0)
        dht_runner_shutdown(
            runner,
            { context in
                Unmanaged<DispatchSemaphore>.fromOpaque(context!).takeRetainedValue().signal()
            }, Unmanaged.passRetained(ended).toOpaque())
        // What it still had to do is not worth a program that does not end. The process ends now, so the
        // library's object is left to it: deleting it too early would be a crash.
        _ = ended.wait(timeout: .now() + 2)
    }
}

/// A request under way: its last answer is sent once.
class Call: @unchecked Sendable {
    // Subclasses guard what they add by `state`.
    fileprivate struct State {
        var isFinished = false
        var bytesLeft = 0
        var dropped = 0
        var oversized = 0
    }

    private static let answers = DispatchQueue(label: "answers")

    fileprivate let id: UInt64
    fileprivate let output: Output
    fileprivate let state = Mutex(State())
    private let node: Node

    init(_ id: UInt64, node: Node, output: Output) {
        self.id = id
        self.node = node
        self.output = output
    }

    func endAtDeadline(_ seconds: Double?) {
        DispatchQueue.global().asyncAfter(deadline: .now() + (seconds ?? 30)) { [weak self] in
            self?.finish(ok: false)
        }
    }

    func finish(ok: Bool) {
        let last = state.withLock { state -> State? in
            if state.isFinished { return nil }
            state.isFinished = true
            return state
        }
        guard let last else { return }
        // Not here: callbacks come with the library's lock held, which counting its nodes takes.
        Self.answers.async { [id, node, output] in
            output.send(
                Answer(
                    id: id, ok: ok, dropped: last.dropped, oversized: last.oversized,
                    nodes: node.goodNodes))
        }
    }
}

private final class GetCall: Call, @unchecked Sendable {
    private let sizeMaximum: Int

    init(_ request: Request, node: Node, output: Output) {
        sizeMaximum = request.size ?? 65_536
        super.init(request.id, node: node, output: output)
        state.withLock { $0.bytesLeft = request.limit ?? 16 << 20 }
    }

    func received(_ view: dht_data_view) {
        let isWanted = state.withLock { state in
            if state.isFinished { return false }
            guard view.size <= sizeMaximum else {
                state.oversized += 1
                return false
            }
            guard view.size <= state.bytesLeft else {
                state.dropped += 1
                return false
            }
            state.bytesLeft -= view.size
            return true
        }
        guard isWanted else { return }
        let bytes = view.data.map { Data(bytes: $0, count: view.size) } ?? Data()
        if !output.send(Answer(id: id, value: bytes.base64EncodedString())) {
            state.withLock { $0.dropped += 1 }
        }
    }
}
