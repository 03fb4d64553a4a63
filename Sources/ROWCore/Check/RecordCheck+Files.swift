import SystemPackage

/// Changed data: what is recorded of each file against what its shadow can hold.
extension RecordCheck {
    mutating func checkFiles() {
        for id in files.keys.sorted() {
            if nodes[id.node]?.isRegular == true {
                checkFile(id)
            } else {
                dropContent(id)
            }
        }
        for (id, node) in nodes.sorted(by: { $0.key < $1.key })
        where node.flags.contains(.hasContent) && !hasData(id) {
            replaceLostContent(id)
        }
    }

    private mutating func dropContent(_ id: LayerID) {
        report(
            .contentWithoutNode, id, "there is changed data of it, and it is no file",
            repair: "the data and what is recorded of it are moved aside")
        files[id] = nil
        nodes[id.node]?.flags.remove(.hasContent)
        if shadow.files[id] != nil { act(.moveAside(FilePath(id.fileName))) }
    }

    /// The map of a file is lost. All bytes of a file that the session made are its own, the newest
    /// layer before the others; which bytes of an image's file are, nobody can tell any more.
    private mutating func replaceLostContent(_ id: NodeID) {
        let newest = shadow.files.keys.filter { $0.node == id && $0.layer <= topLayer }.max()
        let layer = newest ?? LayerID(node: id, layer: topLayer)
        let length = shadow.files[layer]
        guard let node = nodes[id] else { return }
        var file = FileRecord()
        if id.isSessionMade {
            let kept = min(length ?? 0, node.size)
            let lost = kept < node.size ? " and bytes \(kept)..<\(node.size) read as zeros" : ""
            report(
                .contentMissing, id, "it has changed data, and nothing is recorded of where",
                repair: "all of its shadow is taken for its data\(lost)")
            var layout = FileLayout(blockSize: blockSize)
            layout.record(0..<kept)
            file.content = FileRecord.Content(
                mainValid: 0, blocks: Int64(layout.storedBlocks), allocated: 0)
            (file.pages, file.partial) = (layout.pages, layout.blobs)
        } else {
            report(
                .contentMissing, id, "it has changed data, and nothing is recorded of where",
                repair: "its shadow is moved aside, and it shows the image's data again")
            let below = image?.object(id)?.size ?? node.size
            file.content = FileRecord.Content(
                mainValid: min(below, node.size), blocks: 0, allocated: 0)
            if length != nil { act(.moveAside(FilePath(layer.fileName))) }
        }
        files[layer] = file
    }

    private mutating func checkFile(_ id: LayerID) {
        guard var file = files[id], let node = nodes[id.node] else { return }
        // What lies past the end in a frozen layer was cut off above it.
        let isTop = id.layer == topLayer
        let length = shadow.files[id]
        let mainValid = checkMainValid(id, file.content, size: isTop ? node.size : .max)
        var layout = FileLayout(blockSize: blockSize)
        layout.mainValid = mainValid
        let end = isTop ? min(length ?? 0, node.size) : length ?? 0
        readPages(id, file, end: end, &layout)
        readPartial(id, file, end: end, &layout)
        checkCount(id, file.content, end: end, &layout)
        if isTop { checkEnd(id, length, &layout) }
        checkLength(id, length, &layout)
        orderZeros(id, &layout)
        file.content = FileRecord.Content(
            mainValid: mainValid, blocks: Int64(layout.storedBlocks),
            allocated: file.content?.allocated ?? 0)
        (file.pages, file.partial) = (layout.pages, layout.blobs)
        files[id] = file
        guard isTop else { return }
        let size = nodes[id.node]?.size ?? 0
        let cut = size.roundedUp(to: blockSize)
        // Up to the block's end there are zeros that a write brought along.
        if let length, length > cut {
            report(
                .shadowTooLong, id, "its shadow has \(length) bytes, \(length - size) past its end",
                repair: "the shadow is cut: what was not recorded is not data", severity: .note)
            act(.cut(id, to: size))
        }
    }

    private mutating func checkMainValid(
        _ id: LayerID, _ content: FileRecord.Content?, size: UInt64
    ) -> UInt64 {
        let isLowest = lowestLayers[id.node] == id.layer
        let below =
            !isLowest ? nil : id.node.isSessionMade ? 0 : image?.object(id.node)?.size
        guard let content else {
            let valid = min(below ?? size, size, LayerMap.sizeMaximum)
            report(
                .contentMissing, id, "how much of the image's data shows is not on record",
                repair: "it is taken to be \(valid) bytes")
            return valid
        }
        let most = min(below ?? LayerMap.sizeMaximum, LayerMap.sizeMaximum)
        guard content.mainValid > most else { return content.mainValid }
        report(
            .mainValidTooLarge, id,
            "\(content.mainValid) bytes of the image's data are to show, and there are \(most)",
            repair: "it becomes \(most)")
        return most
    }

    // MARK: Reading the map

    private mutating func readPages(
        _ id: LayerID, _ file: FileRecord, end: UInt64, _ layout: inout FileLayout
    ) {
        for (index, blob) in file.pages.sorted(by: { $0.key < $1.key }) {
            let isPossible = index <= BlockSet.page(of: LayerMap.sizeMaximum / blockSize - 1)
            if isPossible, let page = PresenceMap.Page(index: index, blob: blob) {
                if page.words.isEmpty {
                    report(
                        .presenceDamaged, id, "presence page \(index) has no block",
                        repair: "the page is moved aside")
                } else {
                    layout.present.replacePage(index, with: page.words)
                }
                continue
            }
            if isPossible, id.node.isSessionMade {
                report(
                    .presenceDamaged, id, "presence page \(index) is damaged",
                    repair: "all that the shadow holds there is taken for the file's data")
                let pageSize = 4096 * blockSize
                layout.record(min(index * pageSize, end)..<min((index + 1) * pageSize, end))
            } else {
                report(
                    .presenceDamaged, id, "presence page \(index) is damaged",
                    repair: "a copy of the shadow is put aside; the image's data shows there again")
                act(.copyAside(id))
            }
        }
    }

    private mutating func readPartial(
        _ id: LayerID, _ file: FileRecord, end: UInt64, _ layout: inout FileLayout
    ) {
        for (block, blob) in file.partial.sorted(by: { $0.key < $1.key }) {
            let isPossible = block < LayerMap.sizeMaximum / blockSize
            if isPossible, layout.present.contains(block) {
                report(
                    .partialRecordedTwice, id, "block \(block) is recorded as whole and in part",
                    repair: "it is whole")
                continue
            }
            let ranges = ByteRanges(blob: blob, blockSize: UInt32(blockSize))
            if isPossible, let ranges, !ranges.isEmpty, !ranges.covers(0..<UInt32(blockSize)) {
                layout.partial[block] = ranges
                continue
            }
            let what = "the written ranges of block \(block) are malformed"
            if isPossible, let ranges, !ranges.isEmpty {
                report(.partialDamaged, id, what, repair: "the block is whole")
                layout.present.insert(block..<(block + 1))
            } else if isPossible, id.node.isSessionMade {
                report(
                    .partialDamaged, id, what,
                    repair: "all that the shadow holds there is taken for the file's data")
                let start = block * blockSize
                layout.record(min(start, end)..<min(start + blockSize, end))
            } else {
                report(
                    .partialDamaged, id, what,
                    repair: "a copy of the shadow is put aside; the image's data shows there again")
                act(.copyAside(id))
            }
        }
    }

    // MARK: Against count, size and shadow

    /// The count comes in one transaction with the map: where it is greater, a part of the map is lost.
    private mutating func checkCount(
        _ id: LayerID, _ content: FileRecord.Content?, end: UInt64, _ layout: inout FileLayout
    ) {
        let recorded = Int64(layout.storedBlocks)
        guard let content, content.blocks != recorded else { return }
        let problem = "\(content.blocks) blocks are counted, and \(recorded) recorded"
        if content.blocks < recorded {
            report(.wrongBlockCount, id, problem, repair: "the count is set")
        } else if id.node.isSessionMade {
            report(
                .presenceDamaged, id, problem,
                repair: "all that the shadow holds is taken for the file's data")
            layout.record(0..<end)
        } else {
            report(
                .presenceDamaged, id, problem,
                repair:
                    "a copy of the shadow is put aside; the image's data shows where none is recorded"
            )
            act(.copyAside(id))
        }
    }

    /// Nothing is stored past a file's end. Where the shadow has what is recorded there, the size is
    /// what is wrong.
    private mutating func checkEnd(
        _ id: LayerID, _ length: UInt64?, _ layout: inout FileLayout
    ) {
        guard let size = nodes[id.node]?.size, let last = layout.lastBlock, last * blockSize >= size
        else { return }
        let held = layout.stored(before: length ?? 0).filter { $0 * blockSize >= size }
        if let kept = held.last {
            let end = min((kept + 1) * blockSize, length ?? 0)
            report(
                .presenceBeyondEnd, id,
                "its size is \(size) bytes, and it has data up to byte \(end)",
                repair: "its size becomes \(end) bytes")
            nodes[id.node]?.size = end
        }
        let rest = max(nodes[id.node]?.size ?? 0, size).roundedUp(to: blockSize) / blockSize
        guard let last = layout.lastBlock, last >= rest else { return }
        report(
            .presenceBeyondEnd, id,
            "block \(last) is recorded, past the file's end and the shadow's",
            repair: "records past the end are moved aside")
        layout.remove(from: rest)
    }

    /// A shadow is at least as long as the start of its last block: it is cut to the file's size only.
    private mutating func checkLength(
        _ id: LayerID, _ length: UInt64?, _ layout: inout FileLayout
    ) {
        guard let last = layout.lastBlock else { return }
        let held = length ?? 0
        let lost = layout.lost(from: held)
        guard last * blockSize >= held || !lost.isEmpty else { return }
        let text = lost.map { "\($0.lowerBound)..<\($0.upperBound)" }.joined(separator: ", ")
        let shown = id.node.isSessionMade ? "zeros" : "the image's data or zeros"
        report(
            length == nil ? .shadowMissing : .shadowTooShort, id,
            (length.map { "its shadow ends at byte \($0)" } ?? "its shadow is missing")
                + ": bytes \(text) are lost",
            repair: "these bytes show \(shown)")
        layout.clip(to: held)
    }

    /// See ``LayerMap``: recorded bytes past `mainValid` come before those that nobody wrote.
    private mutating func orderZeros(_ id: LayerID, _ layout: inout FileLayout) {
        for gap in layout.fillZeros() {
            report(
                .partialOutOfOrder, id,
                "bytes \(gap.lowerBound)..<\(gap.upperBound) have data after them and no record",
                repair: "they become the zeros that they read as")
            act(.zero(id, gap))
        }
    }

    // MARK: Files that nobody refers to

    mutating func checkStrayFiles() {
        for (id, size) in shadow.files.sorted(by: { $0.key < $1.key }) where files[id] == nil {
            let name = FilePath(id.fileName)
            guard !actions.contains(.moveAside(name)) else { continue }
            let next = records.meta("next_id")?.integer ?? 0
            let isNew =
                next == 0 || id.node.isSessionMade && id.node.row >= next || id.layer > topLayer + 1
            report(
                .shadowOrphan, "shadow/\(name)",
                isNew
                    ? "\(size) bytes of a file that the database has never heard of"
                    : "\(size) bytes that no row refers to, as of writes that were never synced",
                repair: "the file is moved aside", severity: isNew ? .damage : .note)
            act(.moveAside(name))
        }
        for name in shadow.foreign {
            report(
                .shadowForeign, "shadow/\(name)", "it is not a file of the session's making",
                repair: "it is moved aside")
            act(.moveAside(name))
        }
    }
}
