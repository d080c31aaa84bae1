"use strict";
// Everything on the page is there without this; here it is filtered, sorted and copied. Texts are never made markup.
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);

  function span(seconds) {
    const [minutes, hours, days] = [60, 3600, 86400].map((each) => Math.floor(seconds / each));
    if (seconds < 120) return `${Math.max(0, Math.floor(seconds))} s`;
    if (hours < 3) return `${minutes} min`;
    return days < 3 ? `${hours} h` : `${days} days`;
  }

  function tellAge() {
    const seconds = (Date.now() - Date.parse(one("#made").dateTime)) / 1000;
    one("#made-ago").textContent = `(${span(seconds)} ago)`;
    one("#made-ago").classList.toggle("stale", seconds > 3600);
  }

  // Where a page may keep nothing (a frame without an origin, for one), the theme is that of the system each time.
  const kept = {
    get: () => { try { return localStorage.getItem("transship-theme") || "system"; } catch { return "system"; } },
    set: (theme) => { try { localStorage.setItem("transship-theme", theme); } catch { /* see above */ } },
  };

  function wear(theme) {
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    one("#theme").textContent = `Theme: ${theme}`;
  }

  function offerThemes() {
    const themes = ["system", "light", "dark"];
    let theme = themes.includes(kept.get()) ? kept.get() : "system";
    wear(theme);
    one("#theme").hidden = false;
    one("#theme").addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      kept.set(theme);
      wear(theme);
    });
  }

  const form = one("#filter");
  const parts = ["q", "state", "namespace", "application", "reason"];
  const tables = all("table:not(.policies)");
  const items = all("[data-s]").map((element) => ({
    element,
    text: element.textContent.replace(/\s+/g, " ").toLowerCase(),
    isRow: element.tagName === "TR",
    state: element.dataset.s,
    namespace: element.dataset.n,
    application: element.dataset.a,
    reasons: element.dataset.r.split(" "),
  }));
  let sorted = "";

  function fits(item, wanted) {
    return (!wanted.state || item.state === wanted.state)
      && (!wanted.namespace || item.namespace === wanted.namespace)
      && (!wanted.application || item.application === wanted.application)
      && (!wanted.reason || item.reasons.includes(wanted.reason))
      && wanted.words.every((word) => item.text.includes(word));
  }

  function filter() {
    const wanted = Object.fromEntries(parts.map((name) => [name, form.elements[name].value]));
    wanted.words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    const isFiltered = parts.some((name) => wanted[name].trim());
    let shown = 0;
    for (const item of items) {
      item.element.hidden = !fits(item, wanted);
      if (item.isRow && !item.element.hidden) shown += 1;
    }
    for (const section of all("section")) {
      const nothing = section.querySelector(".nothing");
      if (nothing) nothing.hidden = Boolean(section.querySelector("[data-s]:not([hidden])"));
    }
    for (const table of tables) table.hidden = !table.querySelector("tbody tr:not([hidden])");
    const earlier = one("details");
    if (earlier && isFiltered) earlier.open = Boolean(earlier.querySelector("tbody tr:not([hidden])"));
    const rows = items.filter((each) => each.isRow).length;
    one("#shown").textContent = isFiltered ? `${shown} of ${rows} images` : `${rows} images`;
    for (const tile of all(".tile")) {
      if (tile.hash === `#state=${wanted.state}`) tile.setAttribute("aria-current", "true");
      else tile.removeAttribute("aria-current");
    }
  }

  function remember() {
    const link = new URLSearchParams();
    for (const name of parts) if (form.elements[name].value) link.set(name, form.elements[name].value);
    if (sorted) link.set("sort", sorted);
    const hash = link.toString();
    try { history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search); } catch { /* kept by nobody */ }
  }

  function recall() {
    const link = new URLSearchParams(location.hash.slice(1));
    if (location.hash && !parts.concat("sort").some((name) => link.has(name))) return; // a place on the page
    for (const name of parts) {
      form.elements[name].value = link.get(name) || "";
      if (form.elements[name].selectedIndex === -1) form.elements[name].value = "";
    }
    sort(link.get("sort") || "");
    filter();
  }

  const value = (cell) => ("v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent.trim().toLowerCase());
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));

  function sort(wanted) {
    const key = wanted.replace(/^-/, "");
    if (!key && !sorted) return; // as it was made
    for (const table of tables) {
      const heads = all("thead th", table);
      const column = heads.findIndex((head) => head.dataset.key === key);
      const rows = items.filter((each) => each.isRow && table.contains(each.element)).map((each) => each.element);
      if (column !== -1) {
        const keyed = rows.map((row) => [value(row.cells[column]), row]);
        keyed.sort((a, b) => (wanted.startsWith("-") ? -1 : 1) * compare(a[0], b[0]));
        rows.splice(0, rows.length, ...keyed.map((each) => each[1]));
      }
      table.tBodies[0].append(...rows);
      heads.forEach((head, index) => {
        const way = wanted.startsWith("-") ? "descending" : "ascending";
        head.setAttribute("aria-sort", index === column ? way : "none");
      });
    }
    sorted = key ? wanted : "";
  }

  function offerSorting() {
    for (const head of all("thead th[data-key]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      const { key } = head.dataset;
      const first = ["when", "bytes"].includes(key) ? `-${key}` : key;
      button.addEventListener("click", () => {
        sort(sorted !== first ? first : first.startsWith("-") ? key : `-${key}`);
        remember();
      });
    }
  }

  async function copy(button, text, place) {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    } catch { // not allowed here: it is selected, so that a key will do
      getSelection().selectAllChildren(place);
      button.textContent = "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  }

  function offerCopying() {
    for (const place of all(".pair .digest")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "copy";
      button.setAttribute("aria-label", `Copy the digest ${place.title.slice(0, 19)}`);
      button.addEventListener("click", () => copy(button, place.title, place));
      place.after(button);
    }
  }

  tellAge();
  setInterval(tellAge, 30000);
  offerThemes();
  offerSorting();
  offerCopying();
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { filter(); remember(); });
  form.addEventListener("reset", () => setTimeout(() => { sort(""); filter(); remember(); }));
  addEventListener("hashchange", recall);
  addEventListener("beforeprint", () => all("details").forEach((each) => { each.open = true; }));
  recall();
})();
