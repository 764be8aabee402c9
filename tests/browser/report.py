"""Opens reports in a browser as a reader would, and looks at what they do.

usage: report.py CHROMIUM FOLDER... : each FOLDER holds the results of a run. With PICTURES set, pictures go into that folder.
"""

import os
import pathlib
import sys

from devtools import Browser

SIZE_MAX = 2_000_000
SIZES = [(1280, 900), (390, 844)]

# Pixels of each canvas on which anything is drawn, and in how many colours.
DRAWN = """[...document.querySelectorAll('canvas')].map(canvas => {
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const colours = new Set();
    let drawn = 0;
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 0) { drawn++; colours.add((data[i] << 16) + (data[i + 1] << 8) + data[i + 2]); }
    return [drawn, colours.size];
})"""
# What a canvas looks like, to see whether it changes.
LOOKS = "[...document.querySelectorAll('canvas')].map(canvas => canvas.toDataURL().length + canvas.toDataURL().slice(-4000)).join()"
# Elements that reach beyond the window, although nothing of theirs scrolls.
WIDE = """document.documentElement.scrollWidth - innerWidth"""
# Texts of the drawn mesh that lie upon each other.
CLASHES = """(() => {
    const boxes = [...document.querySelectorAll('svg.mesh text')].map(text => [text.textContent, text.getBoundingClientRect()]);
    const clashes = [];
    boxes.forEach(([a, p], index) => boxes.slice(index + 1).forEach(([b, q]) => {
        const across = Math.min(p.right, q.right) - Math.max(p.left, q.left), down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
        if (across > 3 && down > 5) clashes.push(a + ' / ' + b);
    }));
    return clashes;
})()"""

failures = []


def check(is_well, words):
    """Notes what is not as it should be."""
    if not is_well:
        failures.append(words)
        print(f"FAILED {words}", file=sys.stderr)


def is_calm(browser, page, where):
    """Nothing on the console, nothing asked of the network."""
    check(not browser.complaints(), f"{where}: the console says {browser.complaints()}")
    others = [address for address in browser.requests() if address != page and not address.startswith("data:")]
    check(not others, f"{where}: asks for {others}")


def looks(browser, page, name, pictures):
    """Opens the page in both themes and sizes."""
    for dark in (False, True):
        for width, height in SIZES:
            where = f"{name} at {width}, {'dark' if dark else 'light'}"
            browser.open(page, width, height, dark=dark)
            browser.settle()
            is_calm(browser, page, where)
            check(browser.run("document.documentElement.classList.contains('drawn')"), f"{where}: the script does not end")
            canvases = browser.run(DRAWN)
            check(len(canvases) >= 3, f"{where}: has {len(canvases)} canvases")
            empty = [index for index, (drawn, colours) in enumerate(canvases) if drawn < 500 or colours < 3]
            check(not empty, f"{where}: canvases {empty} are empty")
            check(browser.run(WIDE) <= 0, f"{where}: is {browser.run(WIDE)} pixels wider than the window")
            paper = browser.run("getComputedStyle(document.body).backgroundColor")
            check(paper == ("rgb(21, 24, 30)" if dark else "rgb(255, 255, 254)"), f"{where}: the paper is {paper}")
            check(not browser.run(CLASHES), f"{where}: texts lie upon each other: {browser.run(CLASHES)}")
            if pictures:
                theme = "dark" if dark else "light"
                browser.picture(os.path.join(pictures, f"{name}-{width}-{theme}.png"), whole=True)


def presses(browser, selector, where, changes=True):
    """Presses a button and sees whether the charts change."""
    before = browser.run(LOOKS)
    found = browser.run(f"(() => {{ const e = {selector}; e?.click(); return !!e; }})()")
    check(found, f"{where}: there is no such control")
    browser.settle()
    check((browser.run(LOOKS) != before) == changes, f"{where}: the charts {'do not change' if changes else 'change'}")


def button(words):
    """The first button with these words."""
    return f"[...document.querySelectorAll('button')].find(button => button.textContent === '{words}')"


def works(browser, page, name):
    """Uses every control."""
    browser.open(page)
    browser.settle()
    variants = browser.run("document.querySelectorAll('#variants input').length")
    if variants:
        presses(browser, "document.querySelectorAll('#variants input')[1]", f"{name}: a variant")
        presses(browser, button("all"), f"{name}: all variants")
        layouts = ["side by side", "together"]
        if browser.run(f"{button(layouts[0])}.getAttribute('aria-pressed')") == "true":
            layouts.reverse()
        for layout in layouts:
            presses(browser, button(layout), f"{name}: {layout}")
    presses(browser, "document.querySelector('[aria-label=\"Zoom in\"]')", f"{name}: zoom in")
    presses(browser, "document.querySelector('[aria-label=\"Later\"]')", f"{name}: later")
    presses(browser, "document.querySelector('[aria-label=\"Show all of the run\"]')", f"{name}: everything")
    others = "[...document.querySelectorAll('[aria-label=Percentile] button[aria-pressed=false]')]"
    if browser.run(f"{others}.length"):
        words = browser.run(f"{others}[0].textContent")
        presses(browser, f"{others}[0]", f"{name}: another percentile")
        pressed = browser.run("document.querySelector('[aria-label=Percentile] button[aria-pressed=true]').textContent")
        check(pressed == words, f"{name}: {words} is not the one that is pressed")
    words = "getComputedStyle(document.querySelector('#ranking td[title]'), '::after').content"
    check(browser.run(words) == "none", f"{name}: intervals are told before they are asked for")
    browser.run("document.getElementById('intervals').click()")
    check("95 % interval" in browser.run(words), f"{name}: intervals are not told below their figures: {browser.run(words)}")
    check(browser.run(WIDE) <= 0, f"{name}: is wider than the window with intervals")
    browser.run("document.getElementById('intervals').click()")
    presses(browser, "document.getElementById('theme')", f"{name}: the theme")
    check(browser.run("document.documentElement.dataset.theme") == "dark", f"{name}: the theme is not dark")
    # The next page is not to remember it.
    browser.run("localStorage.clear()")
    rows = browser.run("""(() => {
        const details = document.querySelector('details.figures');
        details.open = true;
        return new Promise(done => setTimeout(() => done(details.querySelectorAll('tbody tr').length), 50));
    })()""")
    check(rows > 20, f"{name}: the table of a chart has {rows} rows")
    bare = browser.run("""[...document.querySelectorAll('figure')].filter(figure =>
        !figure.querySelector('details.figures') && !figure.parentElement.querySelector('table') &&
        !(figure.dataset.chart === 'load_per_endpoint' && document.querySelector('#services details.inner td'))).map(figure => figure.id)""")
    check(not bare, f"{name}: the figures of {bare} are in no table")
    files = browser.run("[...document.querySelectorAll('.files a')].map(link => link.getAttribute('href'))")
    folder = pathlib.Path(page.removeprefix("file://")).parent
    absent = [file for file in files if not (folder / file).is_file()]
    check(len(files) >= 10 and not absent, f"{name}: there are no files {absent}")
    if variants and browser.run("document.querySelectorAll('#chart-topology select').length") == 2:
        before = browser.run("document.querySelector('svg.mesh').innerHTML")
        browser.run("""(() => {
            const select = document.querySelectorAll('#chart-topology select')[1];
            select.value = '1';
            select.dispatchEvent(new Event('change'));
        })()""")
        check(browser.run("document.querySelector('svg.mesh').innerHTML") != before, f"{name}: two variants' meshes look like one")
        check(not browser.run(CLASHES), f"{name}: texts lie upon each other: {browser.run(CLASHES)}")
    is_calm(browser, page, f"{name}, used")


def reads(browser, page, name):
    """Goes through the page by keyboard."""
    browser.open(page)
    browser.settle()
    browser.key("Tab")
    first = browser.run("document.activeElement.textContent")
    check(first == "Skip to the answer", f"{name}: the first stop is {first!r}")
    check(browser.run("document.activeElement.getBoundingClientRect().left >= 0"), f"{name}: the skip link stays hidden")
    browser.key("Enter")
    check(browser.run("document.activeElement.id") == "main", f"{name}: the skip link leads nowhere")
    places, hidden = [], 0
    for _ in range(60):
        browser.key("Tab")
        place = browser.run("""(() => {
            const element = document.activeElement, box = element.getBoundingClientRect(), style = getComputedStyle(element);
            if (element.matches('.u-over')) return null;
            const isShown = parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== 'none';
            return [element.tagName, box.top + scrollY, box.width * box.height > 0, isShown];
        })()""")
        if place is None or place[0] == "BODY":
            break
        places.append(place)
        hidden += not (place[2] and place[3])
    check(len(places) > 20 and not hidden, f"{name}: of {len(places)} stops {hidden} cannot be seen")
    # The bar of variants sticks to the top; everything else comes in the order in which it is seen.
    order = [place[1] for place in places if place[0] != "INPUT"]
    jumps = [index for index in range(1, len(order)) if order[index] < order[index - 1] - 120]
    check(not jumps, f"{name}: the focus jumps back at stops {jumps}")
    browser.run("document.querySelector('.plot').focus()")
    words = "document.querySelector('.plot').closest('figure').querySelector('.readout').textContent"
    before = browser.run(words)
    browser.key("ArrowRight")
    browser.key("ArrowRight")
    browser.settle()
    check(browser.run(words) != before, f"{name}: arrows do not move through a plot")
    unnamed = browser.run("""[...document.querySelectorAll('button, input, select, [tabindex="0"]')].filter(element =>
        !(element.textContent.trim() || element.getAttribute('aria-label') || element.closest('label'))).length""")
    check(unnamed == 0, f"{name}: {unnamed} controls have no name")


def stands_alone(browser, page, name):
    """Reads without a script, and prints."""
    browser.open(page, scripts=False)
    pictures = browser.run("[...document.querySelectorAll('figure svg')].filter(svg => svg.getBoundingClientRect().height > 50).length")
    check(pictures >= 5, f"{name}: without a script {pictures} pictures are seen")
    is_calm(browser, page, f"{name}, without a script")
    browser.open(page, dark=True)
    browser.settle()
    browser.call("Emulation.setEmulatedMedia", media="print", features=[])
    shown = browser.run("[...document.querySelectorAll('.live, #variants, nav')].filter(e => e.getBoundingClientRect().height > 0).length")
    check(shown == 0, f"{name}: {shown} things are printed that are only of use on a screen")
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    check(paper == "rgb(255, 255, 254)", f"{name}: is printed on {paper}")
    pictures = browser.run("[...document.querySelectorAll('.static svg')].filter(svg => svg.getBoundingClientRect().height > 50).length")
    figures = browser.run("document.querySelectorAll('figure').length")
    check(pictures == figures, f"{name}: {pictures} of {figures} pictures are printed")
    check(len(browser.call("Page.printToPDF", printBackground=True)["data"]) > 20_000, f"{name}: does not print")


def main():
    executable, folders = sys.argv[1], sys.argv[2:]
    pictures = os.environ.get("PICTURES")
    browser = Browser(executable)
    try:
        for folder in folders:
            path = pathlib.Path(folder).resolve() / "report.html"
            page, name = path.as_uri(), path.parent.name
            size = path.stat().st_size
            check(size < SIZE_MAX, f"{name}: the page has {size} bytes")
            looks(browser, page, name, pictures)
            works(browser, page, name)
            reads(browser, page, name)
            stands_alone(browser, page, name)
            print(f"{name}: {size} bytes, looked at and used", file=sys.stderr)
    finally:
        browser.close()
    if failures:
        sys.exit(f"{len(failures)} things are not as they should be")


if __name__ == "__main__":
    main()
