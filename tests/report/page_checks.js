// What is wrong with each page that is shown in a frame: what it does in a browser, and for whom it is lost.
const found = {};
const rgb = text => {
  const [r, g, b, a = 1] = text.match(/-?[\d.]+(e-?\d+)?/g).map(Number);
  return text.startsWith("color") ? [255 * r, 255 * g, 255 * b, a] : [r, g, b, a];
};
const over = (top, under) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * under[i]).concat(1);
const light = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const contrast = (one, other) => {
  const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
for (const frame of document.querySelectorAll("iframe")) {
  const page = frame.contentDocument, win = frame.contentWindow, complaints = [];
  const style = element => win.getComputedStyle(element);
  const all = choice => [...page.querySelectorAll(choice)];
  const say = (what, element) => complaints.push(`${what}: ${(element?.outerHTML ?? "").slice(0, 160)}`);
  all("details").forEach(details => details.open = true);

  if (win.matchMedia("(prefers-color-scheme: dark)").matches != (frame.className == "dark")) say("wrong scheme");
  if (page.documentElement.scrollWidth > frame.clientWidth) say(`scrolls to ${page.documentElement.scrollWidth}`);
  const back = element => {
    const own = element ? rgb(style(element).backgroundColor) : [255, 255, 255, 1];
    return own[3] == 1 ? own : over(own, back(element.parentElement));
  };
  const texts = page.createTreeWalker(page.body, win.NodeFilter.SHOW_TEXT);
  let words = 0;
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement, svg = element.closest("svg");
    if (!text.data.trim() || element.closest("style, .sr")) continue;
    words += 1;
    const box = element.getBoundingClientRect();
    if (box.right > frame.clientWidth + 1 && !element.closest(".scroll")) say("beyond the edge", element);
    const ink = rgb(svg ? style(element).fill : style(element).color), ground = back(svg?.parentElement ?? element);
    const ratio = contrast(over(ink, ground), ground);
    if (ratio < 4.5) say(`contrast ${ratio.toFixed(2)}`, element);
  }
  if (words < 500) say("no page");

  const levels = all("h1, h2, h3, h4").map(heading => +heading.tagName[1]);
  if (levels[0] != 1 || levels.filter(level => level == 1).length != 1) say("not one h1 at the top");
  levels.forEach((level, i) => {
    if (i && level > levels[i - 1] + 1) say("a level is left out", all("h1, h2, h3, h4")[i]);
  });
  for (const choice of ["html[lang]", "title", "header", "nav[aria-label]", "main"])
    if (all(choice).length != 1) say(`not one ${choice}`);
  all("section:not([aria-labelledby])").forEach(section => say("a section without a name", section));
  all("[aria-labelledby]").forEach(element => {
    const name = page.getElementById(element.getAttribute("aria-labelledby"));
    if (!name?.textContent.trim()) say("named by nothing", element);
  });
  all("a[href^='#']").forEach(link => { if (!page.getElementById(link.hash.slice(1))) say("leads nowhere", link); });
  all("table").forEach(table => {
    if (!table.querySelector("thead th")) say("no heads", table);
    if (!table.closest("[aria-label], [aria-labelledby]") && !table.caption) say("a table without a name", table);
    [...table.tBodies].forEach(body => { if (!body.querySelector("th")) say("rows without a head", body); });
  });
  all("th").forEach(head => { if (!["col", "row", "rowgroup"].includes(head.scope)) say("a head of nothing", head); });
  all("img").forEach(image => { if (!image.alt) say("no alt", image); });
  all("svg").forEach(svg => {
    const told = svg.getAttribute("role") == "img" && svg.getAttribute("aria-label");
    if (svg.getAttribute("aria-hidden") != "true" && !told) say("a picture without words", svg);
  });
  all("*").forEach(element => {
    const hides = element.scrollWidth > element.clientWidth + 1 && style(element).overflowX == "auto";
    if (hides && element.tabIndex != 0) say("out of reach of the keyboard", element);
  });
  all("a, summary, [tabindex='0']").forEach(element => {
    element.focus();
    if (page.activeElement != element) say("cannot have the focus", element);
    else if (style(element).outlineStyle == "none") say("its focus cannot be seen", element);
  });
  win.performance.getEntriesByType("resource").forEach(({ name }) => {
    if (!name.startsWith("data:")) say(`loads ${name}`);
  });
  found[frame.title] = complaints;
}
document.body.textContent = "FOUND" + JSON.stringify(found) + "FOUND";
