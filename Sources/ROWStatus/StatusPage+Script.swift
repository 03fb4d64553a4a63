extension StatusPage {
    /// Asks for `/status.json` every two seconds and shows it. Whatever comes from outside gets into the page as text
    /// and in no other way.
    static let script = #"""
        "use strict";
        (() => {
        const period = 2000, patience = 6000, pointsMaximum = 150;

        // What is shown: characters that are no text, or turn text around, are made visible.
        const unseen = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
        const clean = value => String(value).replace(unseen, "\ufffd");
        const count = value => Math.round(value).toLocaleString("en-US");
        const some = value => value ? count(value) : "";
        const digits = value => value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2);
        function bytes(value) {
            if (value < 1024) return Math.round(value) + " B";
            const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
            let unit = -1;
            do { value /= 1024; unit += 1; } while (value >= 1024 && unit < units.length - 1);
            return digits(value) + " " + units[unit];
        }
        function seconds(value) {
            value = Math.max(0, Math.round(value));
            if (value < 120) return value + " s";
            const minutes = Math.floor(value / 60);
            if (minutes < 120) return minutes + " min";
            const hours = Math.floor(minutes / 60);
            if (hours < 48) return hours + " h " + minutes % 60 + " min";
            return Math.floor(hours / 24) + " d " + hours % 24 + " h";
        }
        const milliseconds = value => value === undefined ? ""
            : value < 1 ? value.toFixed(3) : value < 1000 ? digits(value) : count(value);
        const clock = time => new Date(time * 1000).toLocaleTimeString("en-GB");
        const moment = time => new Date(time * 1000).toLocaleString("sv-SE");
        const sum = counts => Object.values(counts).reduce((all, one) => all + one, 0);

        function make(name, parent, className, text) {
            const element = document.createElement(name);
            if (className) element.className = className;
            if (text !== undefined) element.textContent = clean(text);
            if (parent) parent.append(element);
            return element;
        }
        function say(element, text, className) {
            text = clean(text);
            if (element.textContent !== text) element.textContent = text;
            if (className !== undefined && element.className !== className) element.className = className;
        }

        // A figure, with its course over the last minutes where it has one.
        function tile(parent, name) {
            const root = make("div", parent, "tile");
            make("div", root, "name", name);
            const value = make("div", root, "value", "\u2013");
            const more = make("div", root, "more");
            let line, points = [];
            return {
                show(text, note) { say(value, text); say(more, note || ""); },
                draw(point) {
                    if (!line) {
                        const space = "http://www.w3.org/2000/svg";
                        const picture = document.createElementNS(space, "svg");
                        picture.setAttribute("viewBox", "0 0 100 28");
                        picture.setAttribute("preserveAspectRatio", "none");
                        picture.setAttribute("aria-hidden", "true");
                        line = document.createElementNS(space, "polyline");
                        picture.append(line);
                        root.append(picture);
                    }
                    points.push(point);
                    points = points.slice(-pointsMaximum);
                    const top = Math.max(...points) || 1, step = 100 / Math.max(30, points.length - 1);
                    line.setAttribute("points", points.map((value, index) =>
                        (100 - (points.length - 1 - index) * step).toFixed(2) + "," + (26 - 24 * value / top).toFixed(2)
                    ).join(" "));
                },
            };
        }

        // Rows are kept by their keys, so that what is selected or scrolled to stays.
        function table(parent, title, columns) {
            const root = make("div", parent);
            const heading = make("h3", root, "", title);
            const grid = make("table", make("div", root, "scroll"));
            const names = make("tr", make("thead", grid));
            for (const [name, style] of columns) make("th", names, style, name);
            const body = make("tbody", grid), known = new Map();
            return rows => {
                root.hidden = rows.length === 0;
                say(heading, rows.length > 10 ? title + " (" + count(rows.length) + ")" : title);
                const present = new Set();
                let before = null;
                for (const [key, cells] of rows) {
                    present.add(key);
                    let row = known.get(key);
                    if (!row) {
                        row = make("tr");
                        for (const [, style] of columns) make("td", row, style);
                        known.set(key, row);
                    }
                    const next = before ? before.nextSibling : body.firstChild;
                    if (row !== next) body.insertBefore(row, next);
                    before = row;
                    cells.forEach((cell, index) => {
                        const [text, mood] = Array.isArray(cell) ? cell : [cell, ""];
                        const style = columns[index][1];
                        say(row.children[index], text, mood ? (style + " " + mood).trim() : style);
                    });
                }
                for (const [key, row] of known) if (!present.has(key)) { row.remove(); known.delete(key); }
            };
        }

        const header = make("header", document.body);
        const heading = make("h1", header, "", "ROW-FS");
        const place = make("span", header, "faint");
        const live = make("span", header, "live faint", "asking \u2026");
        const banner = make("div", document.body, "banner");
        banner.hidden = true;
        banner.setAttribute("role", "alert");
        const main = make("main", document.body);
        const warning = make("div", main, "banner");
        warning.hidden = true;
        const none = make("p", main, "faint", "This process serves nothing now. A session that another "
            + "process serves for it is on the page of that one.");
        none.hidden = true;
        const tiles = make("div", main, "tiles");
        const shown = {
            sessions: tile(tiles, "Sessions"), calls: tile(tiles, "Calls of clients"),
            fetched: tile(tiles, "Fetched"), saved: tile(tiles, "Read from what is kept"),
            stored: tile(tiles, "Changes stored"), processor: tile(tiles, "Processor"),
            memory: tile(tiles, "Memory"), disk: tile(tiles, "Free for state"),
        };
        const imagesRoot = make("div", main);
        const leasesRoot = make("section", main);
        const leases = table(leasesRoot, "Leases", [["version", ""], ["state", "words"], ["runs out", "time"]]);
        const images = new Map();

        // How much a figure has grown in a second; nothing where it began anew.
        const seen = new Map();
        let elapsed = 0;
        function rate(key, value) {
            const last = seen.get(key);
            seen.set(key, value);
            return last === undefined || value < last || elapsed <= 0 ? undefined : (value - last) / elapsed;
        }
        const perSecond = (value, text) => value === undefined ? "\u2013" : text(value) + "/s";

        function imageView(name) {
            const root = make("section", imagesRoot);
            make("h2", root, "", name);
            const facts = make("p", root, "faint"), kept = make("p", root, "faint"), list = make("p", root, "faint");
            const servers = table(root, "Servers", [
                ["server", ""], ["state", "words"], ["answers in", "number wide"], ["last error", ""]]);
            const sessions = table(root, "Sessions", [
                ["session", ""], ["calls/s", "number"], ["calls", "number"], ["changed files", "number wide"],
                ["stored", "number"], ["heard", "number"], ["served for", "number wide"], ["machine", "wide"]]);
            const calls = table(root, "Calls, and how long they took in milliseconds", [
                ["procedure", ""], ["clients", "number"], ["p50", "number wide"], ["p90", "number wide"],
                ["p99", "number"], ["max", "number wide"], ["main", "number"], ["main p50", "number wide"],
                ["main p99", "number"], ["shadow", "number wide"]]);
            const boots = table(root, "Machines that boot", [
                ["machine", ""], ["name", "wide"], ["stage", "words"], ["seen", "number"]]);
            const events = table(root, "Events", [["time", "time"], ["session", "wide"], ["event", ""]]);
            return { root, show(image, now) {
                const own = image.bytes;
                say(facts, "served for " + seconds(image.uptime_seconds) + " \u00b7 fetched " + bytes(own.from_main)
                    + " \u00b7 to clients " + bytes(own.to_client) + " \u00b7 from clients " + bytes(own.from_client)
                    + " \u00b7 stored " + bytes(own.shadow_stored));
                const cache = image.cache, manifest = image.manifest;
                kept.hidden = !cache;
                if (cache) {
                    say(kept, "kept here: " + bytes(cache.used) + " of " + bytes(cache.limit) + " in "
                        + count(cache.files) + " files \u00b7 read from it "
                        + bytes(own.cache_hit) + " \u00b7 given up " + count(cache.evicted_blocks)
                        + " blocks \u00b7 damaged " + count(cache.damaged),
                        cache.damaged > 0 ? "bad" : "faint");
                }
                list.hidden = !manifest;
                if (manifest) {
                    const isBad = manifest.wrong > 0 || manifest.state === "unusable";
                    say(list, "manifest " + manifest.state + ": " + count(manifest.verified) + " blocks right, "
                        + count(manifest.wrong) + " wrong, " + bytes(manifest.copied_bytes)
                        + " copied from other images", isBad ? "bad" : "faint");
                }
                servers(image.main.map(server => {
                    const isUp = server.state === "connected" || server.state === "local";
                    const isSpare = isUp && !server.active;
                    const mood = isUp ? "good" : server.state.endsWith("ing") ? "doubt" : "bad";
                    return [server.server, [server.server, [server.state + (isSpare ? ", spare" : ""), mood],
                        server.round_trip_ms === undefined || server.round_trip_ms === null
                            ? "" : digits(server.round_trip_ms) + " ms",
                        server.last_error || ""]];
                }));
                sessions(image.sessions.map(session => {
                    const all = sum(session.calls.client);
                    const speed = rate(session.session + "\u0000calls", all);
                    const machine = session.machine, shadow = session.shadow;
                    const isAway = shadow && shadow.state !== "connected";
                    return [session.session, [
                        [session.session + (isAway ? " (its server is away)" : ""), isAway ? "bad" : ""],
                        speed === undefined ? "\u2013" : count(speed), count(all), count(session.changed.files),
                        bytes(session.bytes.shadow_stored),
                        session.last_seen ? seconds(now - session.last_seen) + " ago" : "never",
                        seconds(session.uptime_seconds),
                        machine ? (machine.hostname || machine.address) + ", " + machine.stage : ""]];
                }));
                const names = new Set([image.calls.client, image.calls.main, image.calls.shadow].flatMap(Object.keys));
                calls([...names].sort().map(name => {
                    const client = image.latency.client[name] || {}, server = image.latency.main[name] || {};
                    return [name, [name, some(image.calls.client[name]), milliseconds(client.p50_ms),
                        milliseconds(client.p90_ms), milliseconds(client.p99_ms), milliseconds(client.max_ms),
                        some(image.calls.main[name]), milliseconds(server.p50_ms), milliseconds(server.p99_ms),
                        some(image.calls.shadow[name])]];
                }));
                const booting = image.machines_without_session.concat(image.sessions.map(session => session.machine)
                    .filter(machine => machine && machine.stage !== "running"));
                boots(booting.map(machine => [(machine.mac || "") + machine.address, [
                    machine.mac ? machine.mac + ", " + machine.address : machine.address, machine.hostname || "",
                    machine.stage, seconds(now - machine.last_seen) + " ago"]]));
                const repeated = new Map();
                events(image.events.slice().reverse().map(event => {
                    const key = event.time + "\u0000" + (event.session || "") + "\u0000" + event.message;
                    const times = repeated.get(key) || 0;
                    repeated.set(key, times + 1);
                    return [key + "\u0000" + times, [moment(event.time), event.session || "", event.message]];
                }));
            } };
        }

        function show(status) {
            document.title = "ROW-FS on " + clean(status.host);
            say(heading, "ROW-FS on " + status.host);
            say(place, "rowctl " + status.version + ", process " + status.process_id);
            say(live, "live, as of " + clock(status.time));
            // The same may come again: there is nothing new then.
            if (status.time === seen.get("time")) return;
            elapsed = status.time - (seen.get("time") || status.time);
            seen.set("time", status.time);
            warning.hidden = status.silent_images === 0;
            say(warning, status.silent_images + " images do not answer: what serves them is held up.");

            none.hidden = status.images.length > 0 || status.silent_images > 0;
            const add = figure => status.images.reduce((all, image) => all + figure(image), 0);
            const sessions = add(image => image.sessions.length);
            const isHeard = session => session.last_seen && status.time - session.last_seen < 60;
            const active = add(image => image.sessions.filter(isHeard).length);
            shown.sessions.show(count(sessions), active + " heard in the last minute");
            const figures = [
                [shown.calls, "calls", add(image => sum(image.calls.client)), count, count],
                [shown.fetched, "fetched", add(image => image.bytes.from_main), bytes, bytes],
                [shown.saved, "saved", add(image => image.bytes.cache_hit), bytes, bytes],
            ];
            for (const [view, key, value, text, whole] of figures) {
                const speed = rate(key, value);
                view.show(perSecond(speed, text), whole(value) + " in all");
                if (speed !== undefined) view.draw(speed);
            }
            shown.stored.show(bytes(add(image => image.bytes.shadow_stored)),
                count(add(image => image.sessions.reduce((all, one) => all + one.changed.files, 0))) + " files");
            const busy = rate("cpu", status.process.cpu_seconds);
            shown.processor.show(busy === undefined ? "\u2013" : digits(100 * busy) + " %", "of a core");
            if (busy !== undefined) shown.processor.draw(busy);
            shown.memory.show(bytes(status.process.memory_bytes));
            shown.memory.draw(status.process.memory_bytes);
            if (status.disk) {
                shown.disk.show(bytes(status.disk.available_bytes), "of " + bytes(status.disk.size_bytes));
            }

            const present = new Set();
            for (const image of status.images) {
                present.add(image.image);
                if (!images.has(image.image)) images.set(image.image, imageView(image.image));
                images.get(image.image).show(image, status.time);
            }
            for (const [name, view] of images) {
                if (!present.has(name)) { view.root.remove(); images.delete(name); }
            }
            leasesRoot.hidden = status.leases.length === 0;
            leases(status.leases.map(lease => [lease.image, [lease.image,
                lease.last_error ? [lease.last_error, "bad"] : lease.renewed
                    ? ["renewed " + seconds(status.time - lease.renewed) + " ago", "good"] : ["asked for", "doubt"],
                lease.expires ? moment(lease.expires) : ""]]));
        }

        let answered = Date.now();
        async function look() {
            const stop = new AbortController(), timer = setTimeout(() => stop.abort(), patience);
            let failure;
            try {
                const response = await fetch("/status.json", { signal: stop.signal, cache: "no-store" });
                if (!response.ok) throw new Error("the answer is " + response.status);
                const status = await response.json();
                answered = Date.now();
                try { show(status); } catch (error) { failure = "The page cannot show the answer: " + error; }
            } catch (error) {
                failure = "The server has not answered since " + clock(answered / 1000) + "; what is shown is old.";
            }
            clearTimeout(timer);
            banner.hidden = !failure;
            if (failure) { say(banner, failure); say(live, "not live"); }
            document.body.classList.toggle("stale", Boolean(failure));
            setTimeout(look, period);
        }
        look();
        })();
        """#
}
