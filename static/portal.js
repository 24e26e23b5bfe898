// What neither HTML nor htmx can do. Listeners sit on the document, so that swapped fragments need no wiring.
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const on = (type, selector, act) =>
    document.addEventListener(type, (event) => {
      const found = event.target.closest?.(selector);
      if (found) act(found, event);
    });

  // Passwords: shown on request, hidden again before they leave, so that browsers do not keep them as plain text.
  const showPassword = (button, shown) => {
    byId(button.dataset.shows).type = shown ? "text" : "password";
    button.querySelector("[data-word]").textContent = shown ? "Hide" : "Show";
  };
  on("click", "[data-shows]", (button) => showPassword(button, byId(button.dataset.shows).type === "password"));
  on("submit", "form", (form) => form.querySelectorAll("[data-shows]").forEach((button) => showPassword(button, false)));

  // Appearance: at once, without leaving the page; htmx tells the server.
  on("submit", "[data-appearance]", (form, { submitter }) => {
    if (!submitter) return;
    if (submitter.value === "system") delete document.documentElement.dataset.bsTheme;
    else document.documentElement.dataset.bsTheme = submitter.value;
    for (const button of form.elements.theme) button.setAttribute("aria-pressed", String(button === submitter));
  });

  // Times: the server writes UTC, the reader sees her own zone, and the exact moment on hover.
  const shortly = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
  const plainly = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
  const exactly = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });
  const localTimes = (within) => {
    for (const time of within.querySelectorAll("time.when:not([data-local])")) {
      const moment = new Date(time.dateTime);
      time.dataset.local = "";
      time.title = exactly.format(moment);
      time.textContent = moment.toDateString() === new Date().toDateString() ? `today, ${shortly.format(moment)}` : plainly.format(moment);
    }
  };
  localTimes(document);

  // Menus, notices.
  on("click", "[data-dismisses]", (button) => button.closest(button.dataset.dismisses).remove());
  document.addEventListener("click", ({ target }) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
  });
  document.addEventListener("keydown", ({ key }) => {
    const menu = key === "Escape" && document.querySelector("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });

  // Dialogs: opened by what htmx puts into them, closed by their own buttons and by the answer to their form.
  on("click", "[data-closes]", (button, event) => {
    const dialog = button.closest("dialog");
    if (!dialog) return;
    event.preventDefault();
    dialog.close();
  });

  // What is shown once can be copied.
  on("click", "[data-copies]", async (button) => {
    const field = byId(button.dataset.copies);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      byId("announcer").textContent = "Copied.";
      button.firstChild.textContent = "Copied";
    } catch {
      byId("announcer").textContent = "The link is selected; copy it with your keyboard.";
    }
  });

  // The key / goes to the page's search.
  document.addEventListener("keydown", (event) => {
    const search = document.querySelector("[data-slash]");
    if (event.key !== "/" || !search || event.target.closest("input, select, textarea, dialog")) return;
    event.preventDefault();
    search.focus();
  });

  // A refused form: the first control at fault, or what is said on top.
  const focusFault = (within) => (within.querySelector("[aria-invalid='true']") ?? within.querySelector(".faults"))?.focus();
  focusFault(document);

  // A verdict on what was typed goes with the next key, before the server gives another.
  document.addEventListener("input", ({ target }) => {
    if (target.id) document.querySelector(`[data-verdict-for="${CSS.escape(target.id)}"]`)?.replaceChildren();
  });

  // A suggestion is written into a field only while nothing else was typed there.
  const untouched = (input) => !input.value || input.value === input.dataset.suggested;
  const takeVerdict = (verdict) => {
    const input = byId(verdict.dataset.verdictFor);
    const { state, suggestion } = verdict.dataset;
    if (suggestion !== undefined && untouched(input)) input.value = input.dataset.suggested = suggestion;
    if (state && state !== "free") input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };

  // What was typed after a request had left is newer than what its answer brings: it stays, with the caret, in the field of the same name.
  const isTick = ({ type }) => type === "checkbox" || type === "radio";
  const typedInto = (control) => (isTick(control) ? control.checked : control.value);
  const fieldOf = (control) => JSON.stringify([control.form.getAttribute("action"), control.name, isTick(control) && control.value]);
  const fieldsIn = (within) =>
    [...within.querySelectorAll("input[name]:not([type=file], [type=password]), select[name], textarea[name]")]
      .filter(({ form }) => form?.hasAttribute("action"))
      .map((control) => [fieldOf(control), control]);
  const whenAsked = new WeakMap(); // for each request: the controls that its answer will replace, and what stood in them when it left

  // A choice may lack what was typed while its field was free text: it takes the option of that name, or a further one, as the server does.
  const choose = (select, old) => {
    const chosen = old.selectedOptions?.[0]?.text; // of another list, whose values may mean something else here
    const word = (chosen ?? old.value).toLowerCase();
    const named = [...select.options].find(({ value, text }) => text.toLowerCase() === word || (chosen === undefined && value.toLowerCase() === word));
    if (named) named.selected = true;
    else select.add(new Option(`${chosen ?? old.value} (not in this list)`, chosen ?? old.value, true, true), 1);
  };
  const typeAgain = (control, old) => {
    if (isTick(control)) control.checked = old.checked;
    else if (control.matches("select")) choose(control, old);
    else control.value = old.value;
    const carets = [control, old].every(({ selectionStart }) => Number.isInteger(selectionStart));
    if (carets && control === document.activeElement) control.setSelectionRange(old.selectionStart, old.selectionEnd);
  };
  const keepTyped = (request, swapped) => {
    const fields = Map.groupBy(fieldsIn(swapped), ([field]) => field);
    for (const { field, control, typed } of whenAsked.get(request) ?? []) {
      const [same, another] = fields.get(field) ?? [];
      if (typedInto(control) !== typed && !control.isConnected && same && !another) typeAgain(same[1], control);
    }
  };

  document.addEventListener("htmx:config:request", (event) => {
    const { sourceElement, request, target } = event.detail.ctx;
    if (target) whenAsked.set(event.detail.ctx, fieldsIn(target).map(([field, control]) => ({ field, control, typed: typedInto(control) })));
    const suggests = sourceElement.dataset?.suggests;
    if (suggests && !untouched(byId(suggests))) event.preventDefault();
    if (sourceElement.matches("form, [data-password]")) return;
    for (const password of document.querySelectorAll("[data-password]")) request.body.delete(password.name);
  });

  // An answer that is not the portal's own (a proxy's page, none at all) is not swapped in; the person is told.
  const noAnswer = () => byId("notices").replaceChildren(byId("no-answer").content.cloneNode(true));
  document.addEventListener("htmx:error", noAnswer);
  document.addEventListener("htmx:before:swap", (event) => {
    const { response, hx } = event.detail.ctx;
    if (!(response?.status >= 500) || hx?.retarget) return;
    event.preventDefault();
    noAnswer();
  });

  document.addEventListener("htmx:after:swap", (event) => {
    const { target, response, sourceElement } = event.detail.ctx;
    sourceElement?.closest?.("dialog")?.close();
    if (target?.matches?.("dialog") && !target.open) {
      sourceElement?.closest?.("[popover]")?.hidePopover(); // gives the focus back to its button, and the dialog will too
      target.showModal();
    }
    const swapped = (target?.id && byId(target.id)) || target;
    if (!swapped?.matches) return;
    keepTyped(event.detail.ctx, swapped);
    localTimes(document);
    if (swapped.matches("[data-verdict-for]")) takeVerdict(swapped);
    if (swapped.matches("[data-announce]")) byId("announcer").textContent = swapped.dataset.announce;
    if (response?.status === 422) focusFault(swapped);
    // what had the focus was swapped out, or its dialog closed
    if (document.activeElement.matches("body, dialog:not([open]) *")) swapped.querySelector("[data-refocus]")?.focus();
  });
})();
