extension StatusPage {
    static let style = """
        :root { --ground: #f6f7f9; --card: #ffffff; --text: #1f2328; --faint: #5b6470; \
        --line: #dde1e6; --mark: #0b63c5; \
        --good: #1a7f37; --bad: #b42318; --doubt: #8a5a00; --tint: #fdecea; } \
        @media (prefers-color-scheme: dark) { :root { --ground: #0f1317; --card: #171c22; --text: #e6e9ed; \
        --faint: #9aa4b0; --line: #2b333c; --mark: #6cb0ff; --good: #56d364; --bad: #ff7b72; --doubt: #e3b341; \
        --tint: #3b1d1d; } } \
        * { box-sizing: border-box; } \
        body { margin: 0 auto; padding: 16px; max-width: 1240px; background: var(--ground); color: var(--text); \
        font: 14px/1.45 system-ui, sans-serif; } \
        header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 16px; margin-bottom: 12px; } \
        h1 { font-size: 20px; margin: 0; overflow-wrap: anywhere; } \
        h2 { font-size: 16px; margin: 0 0 2px; overflow-wrap: anywhere; } \
        h3 { font-size: 13px; margin: 14px 0 4px; color: var(--faint); font-weight: 600; } \
        p { margin: 2px 0; } .faint { color: var(--faint); } .live { margin-left: auto; } \
        .banner { background: var(--tint); color: var(--bad); border: 1px solid var(--bad); border-radius: 8px; \
        padding: 8px 12px; margin-bottom: 12px; font-weight: 600; } \
        .stale main { opacity: 0.45; } [hidden] { display: none !important; } \
        .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 8px; \
        margin-bottom: 12px; } \
        .tile, section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; } \
        .tile { padding: 8px 12px; min-width: 0; } .tile .name { color: var(--faint); font-size: 12px; } \
        .tile .value { font-size: 20px; font-weight: 600; white-space: nowrap; font-variant-numeric: tabular-nums; } \
        .tile .more { color: var(--faint); font-size: 12px; overflow-wrap: anywhere; } \
        .tile svg { display: block; width: 100%; height: 28px; margin-top: 2px; } \
        polyline { fill: none; stroke: var(--mark); stroke-width: 1.5; vector-effect: non-scaling-stroke; } \
        section { padding: 12px 16px; margin-bottom: 12px; } \
        .scroll { overflow: auto; max-height: 340px; } \
        table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; } \
        th { position: sticky; top: 0; background: var(--card); color: var(--faint); font-weight: 500; \
        font-size: 12px; text-align: left; } \
        th, td { padding: 3px 16px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; } \
        th:last-child, td:last-child { padding-right: 4px; } \
        td { overflow-wrap: anywhere; unicode-bidi: plaintext; } \
        .number { text-align: right; white-space: nowrap; overflow-wrap: normal; } \
        .words { overflow-wrap: normal; } .time { white-space: nowrap; overflow-wrap: normal; } \
        .good { color: var(--good); } .bad { color: var(--bad); } .doubt { color: var(--doubt); } \
        @media (max-width: 560px) { body { padding: 8px; } section { padding: 10px; } .wide { display: none; } \
        .tiles { grid-template-columns: 1fr 1fr; } th, td { padding-right: 8px; } \
        .time { white-space: normal; min-width: 84px; } .live { margin-left: 0; } }
        """
}
