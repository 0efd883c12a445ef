// Asks the browser for a passkey, and sends what it answers with the form around the
// button. Also fills an invitation's code in, which is behind the # of its address and so
// never sent by the browser itself.
(() => {
  "use strict";
  const bytes = (s) => Uint8Array.from(atob(s.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  function asked(o) {
    o.challenge = bytes(o.challenge);
    if (o.user) o.user.id = bytes(o.user.id);
    for (const list of [o.allowCredentials, o.excludeCredentials]) if (list) for (const c of list) c.id = bytes(c.id);
    return { publicKey: o };
  }

  function answered(c) {
    const r = c.response, out = { id: c.id, rawId: text(c.rawId), type: c.type, authenticatorAttachment: c.authenticatorAttachment || undefined, clientExtensionResults: c.getClientExtensionResults(), response: { clientDataJSON: text(r.clientDataJSON) } };
    for (const k of ["attestationObject", "authenticatorData", "signature", "userHandle"]) if (r[k]) out.response[k] = text(r[k]);
    if (r.getTransports) out.response.transports = r.getTransports();
    return JSON.stringify(out);
  }

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    if (!window.PublicKeyCredential) continue;
    form.hidden = false;
    const box = form.closest("[data-passkeys]");
    if (box) box.hidden = false;
    form.addEventListener("submit", async (e) => {
      if (form.elements.credential.value) return; // the second time: it goes
      e.preventDefault();
      const say = form.querySelector("[role=status]");
      say.textContent = "Your browser asks for the passkey now.";
      try {
        const o = asked(JSON.parse(form.dataset.passkey));
        const c = form.dataset.make ? await navigator.credentials.create(o) : await navigator.credentials.get(o);
        form.elements.credential.value = answered(c);
        form.requestSubmit();
      } catch (err) {
        say.textContent = err.name === "InvalidStateError" ? "This passkey is here already." : "No passkey was given. Press again, or sign in another way.";
      }
    });
  }

  const code = document.getElementById("invitation");
  if (code && location.hash.length > 1) {
    code.value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
  }
})();
