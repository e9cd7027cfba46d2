// The page of FakeWebex: who one is, rooms, messages as the server rendered them, cards, what one says.
"use strict";

const token = document.querySelector("meta[name=page-token]").content;
const $ = (id) => document.getElementById(id);
const me = { as: "", place: "" };
let version = null; // of what is shown
let seen = new Map(); // room of a person -> how many messages were looked at
let known = new Map(); // message -> [state, its element]
let shown = null; // the last answer
let asking = null; // what ends the question under way
let unmentioned = new Set(); // bots that are not to be mentioned

// --- asking

async function ask(path, body, signal) {
  const isForm = body instanceof FormData;
  const headers = { "X-Page-Token": token };
  if (!isForm) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/play/${path}`, { method: "POST", headers, body: isForm ? body : JSON.stringify(body), signal });
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(value.error || `The server answers ${answer.status}.`), { status: answer.status });
  return value;
}

async function act(path, body) {
  try {
    const value = await ask(path, body);
    tell("");
    return value;
  } catch (error) {
    tell(error.message);
    return null;
  }
}

function tell(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function status(text) {
  $("status").textContent = text;
}

// One question is always under way; it is answered when something is new, and anew when one looks elsewhere.
async function watch() {
  for (;;) {
    const control = new AbortController();
    asking = control;
    const states = Object.fromEntries([...known].map(([id, [state]]) => [id, state]));
    try {
      const asked = { as: me.as, place: me.place };
      const answer = await ask("look", { ...asked, seen: version, known: states }, control.signal);
      status("");
      if (asked.as === me.as && asked.place === me.place) {
        version = answer.version;
        show(answer);
      }
    } catch (error) {
      if (error.name === "AbortError") continue;
      if (error.status === 403) {
        status("");
        tell("The fake was started anew. Load this page again.");
        return;
      }
      status("Lost, trying again");
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}

function lookAgain() {
  version = null;
  if (asking) asking.abort();
}

// --- showing

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function show(answer) {
  shown = answer;
  const people = answer.accounts.filter((one) => !one.isBot);
  if (!people.some((one) => one.id === me.as)) {
    const first = people[0];
    if (first) return become(first.id);
  }
  const who = $("who");
  const names = JSON.stringify(people);
  if (who.dataset.names !== names) {
    who.dataset.names = names;
    who.replaceChildren(...people.map((one) => make("option", { value: one.id }, one.name)));
  }
  who.value = me.as;
  who.hidden = !people.length;
  showRooms(answer.rooms);
  showRoom(answer.room, answer.messages || []);
  if (me.as && me.place && !answer.room) enter(""); // this one is not in there
}

const seenKey = (place) => `${me.as} ${place}`;

function showRooms(rooms) {
  if (shown.room) {
    const here = rooms.find((room) => room.place === shown.room.place || room.place === me.place);
    if (here && !document.hidden) seen.set(seenKey(here.place), here.count);
  }
  const list = $("rooms");
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.place : null;
  list.replaceChildren(...rooms.map((room) => {
    const unread = room.count - (seen.get(seenKey(room.place)) ?? 0);
    const isHere = shown.room && (room.place === me.place || room.place === shown.room.place);
    const button = make("button", { type: "button", "data-place": room.place, class: isHere ? "is-here" : "" },
      make("span", { class: room.isDirect ? "mark is-direct" : "mark", "aria-hidden": "true" }, [...room.title.trim()][0]?.toUpperCase() || "?"),
      make("span", { class: "name" }, room.title),
      make("span", { class: "last" }, room.last || (room.isDirect ? "Nothing said yet" : "")));
    if (isHere) button.setAttribute("aria-current", "true");
    if (unread > 0 && !isHere) button.append(make("span", { class: "badge", "aria-label": `${unread} new` }, String(unread)));
    button.addEventListener("click", () => enter(room.place));
    return make("li", {}, button);
  }));
  if (focused) [...list.querySelectorAll("button")].find((one) => one.dataset.place === focused)?.focus();
  $("no-rooms").hidden = rooms.length > 0;
  $("new-room").disabled = !me.as;
}

function showRoom(room, messages) {
  $("no-room").hidden = Boolean(room);
  $("no-room").textContent = me.as ? "Choose a room." : "Add a person to begin with.";
  $("compose").hidden = !room;
  $("title").textContent = room ? room.title : "No room";
  const count = room && !room.isDirect ? room.members.length : 0;
  $("members").hidden = !count;
  $("members").textContent = count === 1 ? "1 person" : `${count} people`;
  showMentions(room);
  showMessages(messages);
  if ($("members-dialog").open) showMembers();
}

function showMentions(room) {
  const bots = room && !room.isDirect ? room.members.filter((one) => one.isBot) : [];
  const box = $("mentions");
  const names = JSON.stringify(bots);
  if (box.dataset.names === names) return;
  box.dataset.names = names;
  box.hidden = !bots.length;
  box.replaceChildren(box.querySelector("legend"), ...bots.map((bot) => {
    const input = make("input", { type: "checkbox", value: bot.id, checked: !unmentioned.has(bot.id) && bots.length === 1 });
    input.addEventListener("change", () => input.checked ? unmentioned.delete(bot.id) : unmentioned.add(bot.id));
    return make("label", {}, input, make("span", {}, `@${bot.name}`));
  }), ...(bots.length ? [make("span", { class: "hint" }, "hears only what mentions it")] : []));
}

function showMessages(messages) {
  const log = $("log");
  const list = $("messages");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  const before = new Map(known);
  known = new Map();
  let place = list.firstElementChild;
  for (const message of messages) {
    let [state, element] = before.get(message.id) || [];
    if (message.html !== undefined) {
      const fresh = make("li", { class: "post" });
      fresh.innerHTML = message.html; // rendered and cleaned by the server
      if (element) element.replaceWith(fresh);
      if (element === place) place = fresh;
      [state, element] = [message.state, fresh];
      dress(element, message);
    }
    if (!element) continue;
    before.delete(message.id);
    known.set(message.id, [state, element]);
    if (element !== place) list.insertBefore(element, place);
    else place = place.nextElementSibling;
  }
  for (const [, element] of before.values()) element.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function dress(element, message) {
  if (message.isMine) element.classList.add("is-mine");
  if (message.isBot) element.classList.add("is-bot");
  const time = element.querySelector("time");
  if (time) time.textContent = new Date(time.dateTime).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  for (const form of element.querySelectorAll("form.card")) form.addEventListener("submit", press);
}

// --- doing

// Another person goes on in the same room, where she is in it.
function become(id) {
  me.as = id;
  forget();
  enter(me.place);
}

function forget() {
  for (const [, element] of known.values()) element.remove();
  known = new Map();
}

function enter(place) {
  if (place !== me.place) {
    me.place = place;
    forget();
    tell("");
  }
  document.body.dataset.view = place ? "room" : "rooms";
  history.replaceState(null, "", `#${encodeURIComponent(me.as)}/${encodeURIComponent(place)}`);
  lookAgain();
  if (place && matchMedia("(min-width: 700px)").matches) $("text").focus();
}

function readHash() {
  return location.hash.slice(1).split("/").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return "";
    }
  });
}

async function press(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const button = event.submitter || form.querySelector("[data-button]");
  if (!button || !button.dataset.button) return;
  // Only what can be seen has to be filled in: a field may be required in a part that is folded away.
  const missing = [...form.querySelectorAll("[data-id]:invalid")].find((field) => field.checkVisibility());
  if (missing) return void missing.reportValidity();
  const inputs = {};
  for (const field of form.querySelectorAll("[data-id]")) {
    const { id, kind, on, off } = field.dataset;
    if (kind === "toggle") inputs[id] = field.checked ? on : off;
    else if (kind === "choices") inputs[id] = [...field.querySelectorAll("input:checked")].map((one) => one.value).join(",");
    else inputs[id] = field.value;
  }
  const note = form.querySelector(".note");
  note.textContent = "";
  try {
    await ask("press", { as: me.as, message: form.dataset.message, button: Number(button.dataset.button), inputs });
    note.textContent = `Sent: ${button.textContent.trim()}`;
    note.classList.remove("is-bad");
    note.scrollIntoView({ block: "nearest" });
  } catch (error) {
    note.textContent = error.message;
    note.classList.add("is-bad");
  }
}

let tray = [];

function showTray() {
  $("tray").replaceChildren(...tray.map((file, number) => {
    const remove = make("button", { type: "button", class: "quiet", "aria-label": `Do not send ${file.name}` }, "×");
    remove.addEventListener("click", () => {
      tray.splice(number, 1);
      showTray();
    });
    return make("li", {}, make("span", {}, file.name), remove);
  }));
}

$("files").addEventListener("change", () => {
  tray.push(...$("files").files);
  $("files").value = "";
  showTray();
  $("text").focus();
});

$("compose").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  const mentions = [...$("mentions").querySelectorAll("input:checked")].map((one) => one.value);
  if (!text.trim() && !tray.length) return;
  const form = new FormData();
  form.set("as", me.as);
  form.set("place", me.place);
  form.set("text", text);
  for (const id of $("mentions").hidden ? [] : mentions) form.append("mention", id);
  for (const file of tray) form.append("files", file);
  if (await act("say", form)) {
    $("text").value = "";
    tray = [];
    showTray();
    const log = $("log");
    log.scrollTop = log.scrollHeight;
  }
});

$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("compose").requestSubmit();
  }
});

$("who").addEventListener("change", () => become($("who").value));

$("back").addEventListener("click", () => {
  enter("");
  $("rooms").querySelector("button")?.focus();
});

// --- dialogs

function open(dialog, field) {
  dialog.returnValue = "";
  dialog.showModal();
  field?.focus();
}

for (const button of document.querySelectorAll(".cancel")) button.addEventListener("click", () => button.closest("dialog").close());

$("new-person").addEventListener("click", () => {
  $("person-name").value = "";
  open($("person-dialog"), $("person-name"));
});

$("person-dialog").addEventListener("close", async () => {
  if ($("person-dialog").returnValue !== "ok") return;
  const made = await act("person", { name: $("person-name").value });
  if (made) become(made.id);
});

$("new-room").addEventListener("click", () => {
  $("room-name").value = "Team";
  const others = shown.accounts.filter((one) => one.id !== me.as);
  $("room-members").replaceChildren($("room-members").querySelector("legend"), ...others.map((one) =>
    make("label", { class: "check" }, make("input", { type: "checkbox", value: one.id, checked: true }), make("span", {}, one.name + (one.isBot ? " (bot)" : "")))));
  open($("room-dialog"), $("room-name"));
  $("room-name").select();
});

$("room-dialog").addEventListener("close", async () => {
  if ($("room-dialog").returnValue !== "ok") return;
  const members = [...$("room-members").querySelectorAll("input:checked")].map((one) => one.value);
  const made = await act("room", { as: me.as, title: $("room-name").value, members });
  if (made) enter(made.place);
});

function showMembers() {
  const room = shown.room;
  if (!room) return $("members-dialog").close();
  $("members-list").replaceChildren(...room.members.map((one) => {
    const remove = make("button", { type: "button", class: "quiet", "aria-label": one.id === me.as ? "Leave this room" : `Put ${one.name} out` }, one.id === me.as ? "Leave" : "Remove");
    remove.addEventListener("click", async () => {
      await act("remove", { as: me.as, place: room.place, member: one.id });
      if (one.id === me.as) {
        $("members-dialog").close();
        enter("");
      }
    });
    return make("li", {}, make("span", {}, one.name + (one.isBot ? " (bot)" : "")), remove);
  }));
  const inside = new Set(room.members.map((one) => one.id));
  const others = shown.accounts.filter((one) => !inside.has(one.id));
  $("member").replaceChildren(...others.map((one) => make("option", { value: one.id }, one.name + (one.isBot ? " (bot)" : ""))));
  $("members-add").hidden = !others.length;
}

$("members").addEventListener("click", () => {
  showMembers();
  open($("members-dialog"));
});

$("member-add").addEventListener("click", () => act("add", { as: me.as, place: shown.room.place, member: $("member").value }));

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && shown) showRooms(shown.rooms);
});

addEventListener("hashchange", () => {
  const [as, place] = readHash();
  if (as !== me.as || place !== me.place) {
    me.as = as;
    forget();
    enter(place || "");
  }
});

const [as, place] = readHash();
me.as = as || "";
me.place = place || "";
if (me.place) document.body.dataset.view = "room";
watch();
