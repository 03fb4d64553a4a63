"""The results of evaluate as tables of Markdown."""


def line(figures):
    return str(figures)


def tables(results):
    return "", True
