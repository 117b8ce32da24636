(() => {
  "use strict";
  const one = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];

  const root = document.documentElement;
  const theme = one("#theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
  const name = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  dark.addEventListener("change", name);
  theme.hidden = false;
  name();

  const search = one("#search");
  if (!search) return;
  const rows = all("[data-kind]");
  const groups = all(".group");
  const kinds = all("[data-filter]");
  const fresh = one("button[data-new]");
  const shown = one("#shown");
  const open = one("#open");
  const format = new Intl.NumberFormat("en");
  let texts; // of the rows, made when they are first searched

  const pressed = (button) => button !== null && button.getAttribute("aria-pressed") === "true";
  const toggle = (button) => button.setAttribute("aria-pressed", String(!pressed(button)));

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set(kinds.filter(pressed).map((b) => b.dataset.filter));
    const onlyNew = pressed(fresh);
    if (words.length > 0 && !texts) texts = rows.map((r) => r.textContent.toLowerCase());
    let n = 0;
    rows.forEach((row, i) => {
      const hit = (wanted.size === 0 || wanted.has(row.dataset.kind)) &&
        (!onlyNew || "new" in row.dataset) && words.every((w) => texts[i].includes(w));
      row.hidden = !hit;
      if (hit) n++;
    });
    for (const g of groups) g.hidden = !g.querySelector("[data-kind]:not([hidden])");
    shown.textContent = `${format.format(n)} of ${format.format(rows.length)}`;
  };
  const clear = () => {
    search.value = "";
    for (const b of [fresh, ...kinds]) if (pressed(b)) toggle(b);
    filter();
  };

  let waiting = 0;
  search.addEventListener("input", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(filter);
  });
  for (const b of [fresh, ...kinds]) b?.addEventListener("click", () => { toggle(b); filter(); });
  open.addEventListener("click", () => {
    toggle(open);
    for (const d of all(".rows details")) d.open = pressed(open);
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "/" && document.activeElement !== search) {
      e.preventDefault();
      search.focus();
    } else if (e.key === "Escape") {
      clear();
    }
  });
  // A link leads to its row, also when the row is filtered away.
  window.addEventListener("hashchange", () => {
    const row = document.getElementById(location.hash.slice(1));
    if (row?.hidden) {
      clear();
      row.scrollIntoView();
    }
  });

  search.disabled = false;
  search.placeholder += "  ( / )";
  one(".chips").hidden = false;
  open.hidden = !one(".rows details");
  if (!one(".rows details:not([open])")) toggle(open);
  filter();
})();
