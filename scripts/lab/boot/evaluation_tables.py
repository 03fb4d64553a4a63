"""The results of evaluate as tables of Markdown, and the bounds that must hold."""

MB = 1e6
KINDS = [("direct", "server alone, writable"), ("cold", "proxy, first boot"), ("second", "proxy, second boot"),
         ("new", "proxy, new session, warm cache"), ("profile", "proxy, first boot with a profile")]


def total(counts):
    return sum(counts.values())


def line(boot):
    """One boot, for whoever waits."""
    text = f"shell after {boot['shell']} s, running after {boot['running']} s"
    if "main" in boot:
        text += (f"; calls {total(boot['client'])}, to main {total(boot['main'])}, bytes from main "
                 f"{boot['from_main'] / MB:.1f} MB; processor {boot['cpu']:.1f} s")
    return text


def table(head, rows):
    rows = [[str(cell) for cell in row] for row in rows]
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] +
                     ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def round_trips(results):
    return sorted({int(name.split("@")[1]) for name in results["boots"]})


def times(results):
    rows = []
    for kind, title in KINDS:
        row = [title]
        for rtt in round_trips(results):
            boot = results["boots"].get(f"{kind}@{rtt}")
            row.append(f"{boot['shell']:.0f} / {boot['running']:.0f}" if boot else "-")
        rows.append(row)
    return table(["seconds from power on to shell / running"] + [f"{rtt} ms" for rtt in round_trips(results)], rows)


def work(results):
    rows = []
    for kind, title in KINDS[1:]:
        for rtt in round_trips(results):
            boot = results["boots"].get(f"{kind}@{rtt}")
            if not boot:
                continue
            rows.append([
                title, rtt, total(boot["client"]), total(boot["main"]), boot["checks"],
                f"{boot['from_main'] / MB:.1f}", f"{boot['to_client'] / MB:.1f}", f"{boot['touched'] / MB:.1f}",
                f"{boot['from_client'] / MB:.1f}", f"{boot['stored'] / MB:.1f}", f"{boot['cpu']:.2f}",
                f"{boot['peak'] / MB:.0f}"])
    return table(["boot", "RTT, ms", "client's calls", "to main", "checks", "from main, MB", "to client, MB",
                  "asked for of the image, MB", "written, MB", "stored, MB", "processor, s", "memory, MB"], rows)


def calls(results):
    """Figure 5: calls by procedure, where they cross the line and where they do not."""
    rtt = max(round_trips(results))
    boots = [(title, results["boots"].get(f"{kind}@{rtt}")) for kind, title in KINDS[1:3]]
    boots = [(title, boot) for title, boot in boots if boot]
    names = sorted({name for _, boot in boots for side in ("client", "main") for name in boot[side]})
    rows = [[name] + [boot[side].get(name, 0) for _, boot in boots for side in ("client", "main")] for name in names]
    rows.append(["all"] + [total(boot[side]) for _, boot in boots for side in ("client", "main")])
    return table([f"calls, {rtt} ms"] + [f"{title}: {side}" for title, _ in boots for side in ("client", "main")],
                 rows)


def fetched(results):
    rows = []
    for name, boot in results.get("fetched", {}).items():
        sums = boot["sums"]
        if name.startswith("second") or not sums.get("asked"):
            continue
        rows.append([name.replace("@", ", ") + " ms"] + [
            f"{sums.get(key, 0) / MB:.1f}" for key in ("kept", "asked", "never_asked", "ahead", "rounding")] +
            [f"{sums['files_asked']} / {sums['files_kept']}"])
    return table(["boot", "kept, MB", "asked for, MB", "in files not asked for, MB", "ahead in files, MB",
                  "rest of 64 KiB, MB", "files asked for / kept"], rows)


def phases(results):
    """Figure 4: what the proxy uses through boot, work and reboot."""
    rows = []
    for name in ("boot", "run", "reboot"):
        if not (phase := results.get("phases", {}).get(name)):
            continue
        used, seconds = phase["sum"], (phase["end_ms"] - phase["start_ms"]) / 1000
        rows.append([
            name, f"{seconds:.0f}", f"{used['cpu_microseconds'] / 1e6:.2f}",
            f"{used['cpu_microseconds'] / 1e4 / seconds:.1f} %", f"{used['memory_bytes'] / MB:.0f}",
            used["client_calls"], used["main_calls"], f"{used['from_main_bytes'] / MB:.1f}",
            f"{used['to_client_bytes'] / MB:.1f}", f"{used['from_client_bytes'] / MB:.1f}",
            f"{used['disk_read_bytes'] / MB:.1f}", f"{used['disk_written_bytes'] / MB:.1f}",
            f"{used['stored_bytes'] / MB:.1f}"])
    return table(["phase", "seconds", "processor, s", "of one core", "memory, MB", "client's calls", "to main",
                  "from main, MB", "to client, MB", "from client, MB", "disk read, MB", "disk written, MB",
                  "stored, MB"], rows)


def share(results):
    """Section 4.3: what a boot brings of the image."""
    image, rtt = results["about"]["image"], max(round_trips(results))
    if not (boot := results["boots"].get(f"cold@{rtt}")):
        return ""
    kernel = image["vmlinuz"] + image["initrd.img"]
    rows = [
        ["image", f"{image['bytes'] / MB:.0f} MB in {image['files']} files", ""],
        ["kernel and initial file system", f"{kernel / MB:.1f} MB", f"{kernel / image['bytes']:.1%}"],
    ]
    for title, value in (("asked for by the machine", boot["touched"]), ("fetched from main", boot["from_main"])):
        rows.append([title, f"{value / MB:.1f} MB", f"{value / image['bytes']:.1%}"])
        rows.append([f"{title}, without kernel and initial file system", f"{(value - kernel) / MB:.1f} MB",
                     f"{(value - kernel) / (image['bytes'] - kernel):.1%}"])
    rows.append(["written by the machine", f"{boot['from_client'] / MB:.1f} MB", ""])
    rows.append(["stored in the session's shadow", f"{boot['stored'] / MB:.1f} MB", ""])
    return table([f"first boot, {rtt} ms", "bytes", "of the image"], rows)


def bounds(results):
    """Each bound as a row, and whether all of those that could be checked hold."""
    boots, rows, met = results["boots"], [], True
    rtts, rate = round_trips(results), results["about"]["run"]["rate_kbit"] * 125

    def check(title, value, limit, figures):
        nonlocal met
        met = met and value <= limit
        rows.append([title, f"{value:.3f}" if isinstance(value, float) else value, limit,
                     "met" if value <= limit else "**not met**", figures])

    near, far = min(rtts), max(rtts)
    for kind, title in (("cold", "first"), ("second", "second")):
        if f"{kind}@{near}" in boots and f"second@{far}" in boots:
            one, other = boots[f"second@{far}"]["running"], boots[f"{kind}@{near}"]["running"]
            check(f"second boot at {far} ms / {title} boot at {near} ms", one / other, 1.15, f"{one} s / {other} s")
    for rtt in rtts:
        if f"profile@{rtt}" in boots and f"new@{rtt}" in boots and rtt:
            boot = boots[f"profile@{rtt}"]
            least = boots[f"new@{rtt}"]["running"] + boot["from_main"] / rate
            check(f"first boot with a profile at {rtt} ms / (warm boot + bytes / rate)", boot["running"] / least, 1.3,
                  f"{boot['running']} s / ({boots[f'new@{rtt}']['running']} s + "
                  f"{boot['from_main'] / rate:.1f} s)")
    for kind in ("cold", "profile"):
        for rtt in rtts:
            if boot := boots.get(f"{kind}@{rtt}"):
                check(f"bytes from main / asked for, {kind} at {rtt} ms", boot["from_main"] / boot["touched"], 1.25,
                      f"{boot['from_main'] / MB:.1f} MB / {boot['touched'] / MB:.1f} MB")
    for rtt in rtts:
        if (boot := boots.get(f"second@{rtt}")) and (fetched := results["fetched"].get(f"second@{rtt}")):
            # What came and is not more of the image than was kept before was seen before.
            again = boot["from_main"] - fetched["sums"]["kept"]
            calls = ", ".join(f"{count} {name}" for name, count in boot["main"].items()) or "none"
            check(f"MB from main, second boot at {rtt} ms, that had been fetched before", max(again, 0) / MB, 0,
                  f"{boot['from_main'] / MB:.2f} MB from main, {fetched['sums']['kept'] / MB:.2f} MB of them new; "
                  f"calls: {calls}")
    return table(["bound", "is", "at most", "", "figures"], rows), met


def circumstances(results):
    run = results["about"]["run"]
    return (f"rowctl built at {run['built']} (commit {run['commit']} or so), {run['processor']}, "
            f"{run['cores']} cores, emulator's accelerator "
            f"{run['accelerator']}, {run['rate_kbit'] / 1000:.0f} Mbit/s in each direction where there is a delay.\n")


def tables(results):
    """All sections by name, and whether the bounds hold."""
    if not results.get("boots"):
        return {}, True
    text, met = bounds(results)
    return {
        "circumstances": circumstances(results), "times": times(results), "bounds": text, "bytes": share(results),
        "calls": calls(results), "work": work(results), "fetched": fetched(results), "phases": phases(results),
    }, met


def put_into(document, sections):
    """Replaces what is between `<!-- NAME -->` and `<!-- end -->`."""
    for name, text in sections.items():
        start = document.find(f"<!-- {name} -->\n")
        if start < 0:
            continue
        start = document.index("\n", start) + 1
        document = document[:start] + "\n" + text + "\n" + document[document.index("<!-- end -->", start):]
    return document
