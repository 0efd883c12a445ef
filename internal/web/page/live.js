// Keeps a page as it is now, without a reload: a stream says that there is something
// new, the page is fetched again, and only what differs is put in its place. What
// somebody types, the focus and what is folded open stay. Without this script the same
// page reloads itself.
(() => {
  "use strict";
  const lost = document.getElementById("lost");
  document.currentScript.remove();
  let heard = Date.now(), stream = null, fetching = false, again = false, retry = 0, sent = 0, listened = 0;

  // held: a field in it is being filled in.
  const held = (node) => [...node.querySelectorAll("input, textarea, select"), node].some((f) =>
    (f.matches("textarea, select, input:not([type=hidden])") && f === document.activeElement) ||
    (f.matches("input[type=radio], input[type=checkbox]") && f.checked !== f.defaultChecked) ||
    (f.matches("input[type=file]") && f.files.length > 0) ||
    (f.matches("textarea, input:not([type=hidden], [type=radio], [type=checkbox], [type=file])") && f.value !== f.defaultValue) ||
    (f.matches("select") && f.selectedIndex !== Math.max(0, [...f.options].findIndex((o) => o.defaultSelected))));

  // name of a thing that shall keep its focus or stay folded open.
  const name = (n) => n.id || [n.tagName, n.name, n.getAttribute("href"), n.form && n.form.getAttribute("action"), n.tagName === "DETAILS" ? n.firstElementChild?.textContent : n.textContent].join("|");

  const openIn = (node) => [node, ...node.querySelectorAll("details")].filter((d) => d.open && d.tagName === "DETAILS").map(name);

  function replace(old, now) {
    const open = openIn(old), focus = old.contains(document.activeElement) ? name(document.activeElement) : "";
    old.replaceWith(now);
    for (const d of [now, ...now.querySelectorAll("details")]) if (open.includes(name(d))) d.open = true;
    if (focus) [...now.querySelectorAll("a, button, summary"), now].find((n) => name(n) === focus)?.focus({ preventScroll: true });
  }

  // attributes carries over what is written on an element, but for what is open.
  function attributes(old, now) {
    for (const a of [...old.attributes]) if (!now.hasAttribute(a.name) && a.name !== "open") old.removeAttribute(a.name);
    for (const a of now.attributes) if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
  }

  // kind says what a form is for, whenever it was made.
  const kind = (form) => [form.getAttribute("action"), form.className, ...[...form.querySelectorAll("input[type=hidden]")].filter((f) => !["key", "incident", "phase"].includes(f.name)).map((f) => f.name + "=" + f.value)].join("|");
  const hidden = (form, n) => form.querySelector(`input[type=hidden][name=${n}]`)?.value;

  // twins lets a form that is being filled in stay as it was made, with all that it
  // carries unseen; any other keeps its key, so that two presses are one.
  function twins(next) {
    const theirs = [...next.forms];
    for (const mine of document.forms) {
      const at = theirs.findIndex((f) => kind(f) === kind(mine));
      if (at < 0) continue;
      const [twin] = theirs.splice(at, 1);
      if (held(mine)) twin.replaceWith(mine.cloneNode(true));
      else if (["key", "incident", "phase"].every((n) => n === "key" ? hidden(mine, n) && hidden(twin, n) : hidden(mine, n) === hidden(twin, n))) twin.querySelector("input[name=key]").setAttribute("value", hidden(mine, "key"));
    }
  }

  function same(old, now) {
    if (old.nodeName === "FORM" && now.nodeName === "FORM" && kind(old) !== kind(now)) return false;
    return old.nodeType === 1 && now.nodeType === 1 && old.tagName === now.tagName && old.id === now.id;
  }

  // put makes old look like now, touching as little as it can.
  function put(old, now) {
    if (old.isEqualNode(now)) return;
    if (old.nodeType === 3 && now.nodeType === 3) { old.data = now.data; return; }
    if (!same(old, now)) { if (old.nodeType !== 1 || !held(old)) replaceNode(old, now); return; }
    if (old.matches("input, textarea, select")) { if (!held(old)) replaceNode(old, now); return; }
    if (old.namespaceURI !== "http://www.w3.org/1999/xhtml" || old.matches("p, li, h2, button, summary")) { if (!held(old)) replace(old, now); return; }
    attributes(old, now);
    children(old, [...old.childNodes], [...now.childNodes]);
  }

  // children puts a list in the place of another: what is the same stands still, what is
  // of the same kind is made like it, the rest comes and goes around it.
  function children(parent, from, to) {
    let at = 0;
    const drop = (o) => { if (o.nodeType !== 1 || !held(o)) o.remove(); };
    to.forEach((n, k) => {
      const blank = n.nodeType === 3 && !n.data.trim(); // is like any other: nothing is passed over for it
      const equal = blank ? (from[at]?.nodeType === 3 ? at : -1) : from.findIndex((o, j) => j >= at && o.isEqualNode(n));
      if (equal >= 0) { from.slice(at, equal).forEach(drop); at = equal + 1; return; }
      const o = from[at];
      if (o && o.nodeType === n.nodeType && (n.nodeType !== 1 || same(o, n)) && !to.slice(k + 1).some((later) => o.isEqualNode(later))) { at++; put(o, n); return; }
      parent.insertBefore(n, o || null);
    });
    from.slice(at).forEach(drop);
  }

  function replaceNode(old, now) { if (old.nodeType === 1 && now.nodeType === 1) replace(old, now); else old.replaceWith(now); }

  async function look() {
    if (fetching) { again = true; return; }
    fetching = true;
    try {
      do {
        again = false;
        const res = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual", signal: AbortSignal.timeout(10000) });
        if (res.type === "opaqueredirect") { location.reload(); return; }
        if (!res.ok) break;
        if (Date.now() - sent < 30000) break; // a form is on its way: its button stays what it was
        const next = new DOMParser().parseFromString(await res.text(), "text/html");
        document.title = next.title;
        const mine = document.getElementById("lost"), theirs = next.getElementById("lost");
        if (mine && theirs) theirs.replaceWith(mine.cloneNode(true));
        next.querySelectorAll("script").forEach((s) => s.remove()); // this one was removed, too
        twins(next);
        put(document.body, next.body);
        heard = Date.now(); // as old as what is seen, not as the last word of the stream
        tell();
      } while (again);
    } catch { /* no contact: the stream says when there is */ } finally { fetching = false; }
  }

  function tell() {
    if (!lost.isConnected || document.hidden) return;
    const known = Date.now() - Math.max(heard, listened) < 12000;
    if (!known && lost.hidden) lost.lastElementChild.textContent = lost.dataset.say.replace("TIME", new Date(heard).toLocaleTimeString(document.documentElement.lang));
    lost.hidden = known;
  }

  function close() { if (stream) stream.close(); stream = null; clearTimeout(retry); }

  function listen() {
    close();
    if (document.hidden) return; // a page that nobody looks at takes no connection
    listened = Date.now();
    stream = new EventSource("/live");
    stream.addEventListener("look", look);
    stream.addEventListener("gone", () => { close(); location.reload(); });
    stream.onerror = () => { if (stream && stream.readyState === 2) { close(); look(); retry = setTimeout(listen, 3000 + Math.random() * 4000); } };
  }

  document.addEventListener("visibilitychange", listen);
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => { sent = 0; listen(); });
  addEventListener("submit", () => { sent = Date.now(); });
  setInterval(tell, 1000);
})();
