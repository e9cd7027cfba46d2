// Makes the room live: sends forms without leaving the page, shows what happens, catches up after a loss.
"use strict";

const me = document.body.dataset.me;
const token = document.body.dataset.token;
const root = document.body.dataset.root;  // what comes before the paths of this room
const statusLine = document.getElementById("status");
const pageTitle = document.title;
const sides = ["group", "direct"];
let cursor = document.body.dataset.cursor;  // up to where this page was told what happens

// The one place where text becomes HTML; what comes in was made and cleaned by the server.
const policy = window.trustedTypes
  ? window.trustedTypes.createPolicy("shellbot", { createHTML: (html) => html })
  : { createHTML: (html) => html };

function element(html) {
  const box = document.createElement("template");
  box.innerHTML = policy.createHTML(html.trim());
  return box.content.firstElementChild;
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// --- status: told after three seconds of loss, not on each blink

let lostTimer = 0;
let connection = "";
const woken = new Set();  // what waits to try again, and need not when the connection is back

function pause(seconds) {
  return new Promise((done) => {
    const go = () => { clearTimeout(timer); woken.delete(go); done(); };
    const timer = setTimeout(go, seconds * 1000);
    woken.add(go);
  });
}

function show(kind, text) {
  statusLine.className = kind ? `status is-${kind}` : "status";
  statusLine.textContent = text;
}

function showLive() {
  clearTimeout(lostTimer);
  lostTimer = 0;
  connection = "live";
  show("live", "Live");
  for (const go of woken) go();
  for (const again of document.querySelectorAll('.failure[data-reached="false"] button')) again.click();
}

function showLost() {
  if (lostTimer || connection === "over" || connection === "full") return;
  lostTimer = setTimeout(() => show("lost", "Connection lost, trying again …"), 3000);
}

function showFull() {
  connection = "full";
  show("lost", "Too many pages are open here, trying again …");
}

function showOver(text) {
  clearTimeout(lostTimer);
  connection = "over";
  show("lost", text);
}

// --- the two logs

const unread = { group: 0, direct: 0 };
const readUpTo = { group: 0, direct: 0 };

function pane(side) {
  return document.getElementById(side);
}

function list(side) {
  return pane(side).querySelector(".log > ol");
}

function isSeen(side) {
  return !document.hidden && getComputedStyle(pane(side)).display !== "none";
}

function showUnread() {
  for (const side of sides) {
    if (isSeen(side)) {
      unread[side] = 0;
      readUpTo[side] = seqOf(side);
    }
    const badge = document.querySelector(`.tabs a[href="#${side}"] .badge`);
    badge.textContent = unread[side] || "";
    badge.hidden = !unread[side];
    if (unread[side]) badge.setAttribute("aria-label", `${unread[side]} new`);
  }
  if (!readTimer) readTimer = setTimeout(tellRead, 1000);
  const count = unread.group + unread.direct;
  document.title = count ? `(${count}) ${pageTitle}` : pageTitle;
}

// A line above the first message that came while nobody looked.
function markFresh(side, place) {
  list(side).querySelector(".fresh")?.remove();
  const line = element('<li class="fresh">New</li>');
  line.id = `fresh-${place}`;
  list(side).insertBefore(line, list(side).querySelector(".is-pending"));
}

function moreButton(side) {
  const log = pane(side).querySelector(".log");
  let button = log.querySelector(".more");
  if (!button) {
    button = document.createElement("button");
    button.type = "button";
    button.className = "more";
    button.textContent = "New messages";
    button.addEventListener("click", () => { log.scrollTop = 0; });
    log.prepend(button);
    log.addEventListener("scroll", () => { if (log.scrollTop > -80) button.remove(); }, { passive: true });
  }
}

// Scroll positions of a reversed log count from its end: 0 is the newest, negative is further up.
function change(side, work, isOwn, isNew = true) {
  const log = pane(side).querySelector(".log");
  const place = log.scrollTop;
  const height = log.scrollHeight;
  work();
  if (isOwn || place > -80) {
    log.scrollTop = 0;
  } else {
    log.scrollTop = place - (log.scrollHeight - height);
    if (isNew) moreButton(side);
  }
}

function put(side, place, item, isOwn) {
  const known = document.getElementById(`${side}-${place}`);
  if (known) {
    const pressed = known.contains(document.activeElement) ? document.activeElement.value : null;
    change(side, () => known.replaceWith(item), false, false);
    markDays([item]);
    noteAnew(item);
    if (pressed !== null) {
      for (const button of item.querySelectorAll("button.choice")) if (button.value === pressed) button.focus();
    }
    return;
  }
  const log = list(side);
  if (!isOwn && !isSeen(side) && !unread[side]) markFresh(side, place);
  const next = Array.from(log.children).find((child) => Number((child.id || "").split("-")[1]) > place);
  change(side, () => {
    log.querySelector(".empty")?.remove();
    const pending = log.querySelector(".is-pending");
    log.insertBefore(item, next || pending || null);
    markDays(next ? [item, next] : [item]);
  }, isOwn);
  if (!isOwn && !isSeen(side)) unread[side] += 1;
  showUnread();
}

// --- days: times in the zone of the reader, and a line where another day begins

const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const dayKey = new Intl.DateTimeFormat("en-CA", { dateStyle: "short" });
let today = "";

function dayName(date) {
  const yesterday = new Date();
  yesterday.setDate(yesterday.getDate() - 1);
  const key = dayKey.format(date);
  if (key === today) return "Today";
  if (key === dayKey.format(yesterday)) return "Yesterday";
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return date.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year });
}

function timeOf(item) {
  const time = item?.querySelector(".head time");
  return time ? new Date(time.dateTime) : null;
}

// What is not changed is not read out again.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// The line above a message: it is there where the message before is of another day.
function markDay(item) {
  const date = timeOf(item);
  if (!date) return;
  let before = item.previousElementSibling;
  let line = null;
  while (before && !before.matches(".post")) {
    if (before.matches(".day")) line = before;
    before = before.previousElementSibling;
  }
  const other = timeOf(before);
  if (other && dayKey.format(other) === dayKey.format(date)) return line?.remove();
  if (!line) {
    line = element('<li class="day"><time></time></li>');
    item.before(line);
  }
  const shown = line.firstElementChild;
  shown.dateTime = dayKey.format(date);
  write(shown, dayName(date));
}

function markDays(items) {
  for (const item of items) {
    const date = timeOf(item);
    if (date) write(item.querySelector(".head time"), clock.format(date));
    markDay(item);
  }
}

// At midnight, or when a page wakes after it, "Today" is another day.
function beginDay() {
  if (today === dayKey.format(new Date())) return;
  today = dayKey.format(new Date());
  for (const side of sides) {
    const log = pane(side).querySelector(".log");
    log.setAttribute("aria-busy", "true");
    markDays(list(side).querySelectorAll(".post"));
    requestAnimationFrame(() => log.removeAttribute("aria-busy"));
  }
}

// --- history: more of it when somebody scrolls to its beginning

const passed = new Map();  // changes to posts that this page does not show yet, by id

function beginsAt(side) {
  const first = list(side).querySelector(".earlier") && list(side).querySelector(`[id^="${side}-"]`);
  return first ? Number(first.id.split("-")[1]) : 0;
}

async function showEarlier(side) {
  const line = list(side).querySelector(".earlier");
  if (!line || line.classList.contains("is-busy")) return;
  const link = line.querySelector("a");
  line.classList.add("is-busy");
  line.querySelector(".failure")?.remove();
  try {
    const answer = await fetch(link.href, { headers: { Accept: "application/json" } });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
    showHistory(side, line, told.posts);
    if (told.has_earlier) {
      const url = new URL(link.href);
      url.searchParams.set("before", told.posts[0].place);
      link.href = url;
    } else {
      line.remove();
    }
  } catch {
    const failure = document.createElement("p");
    failure.className = "failure";
    failure.setAttribute("role", "alert");
    failure.textContent = "Not loaded. Please try again.";
    line.append(failure);
  }
  line.classList.remove("is-busy");
  if (line.isConnected && !line.querySelector(".failure") && isAtBeginning(side)) showEarlier(side);
}

function isAtBeginning(side) {
  const log = pane(side).querySelector(".log");
  return log.scrollHeight - log.clientHeight + log.scrollTop < 300;
}

function showHistory(side, line, posts) {
  const log = pane(side).querySelector(".log");
  log.setAttribute("aria-busy", "true");  // what is old is not read out as news
  const next = line.nextElementSibling;
  const first = list(side).querySelector(".post");
  for (const post of posts) {
    const id = `${side}-${post.place}`;
    const item = passed.get(id) || element(post.html);
    passed.delete(id);
    if (post.who === me) item.classList.add("is-mine");
    list(side).insertBefore(item, next);
    markDays([item]);
  }
  if (first) markDays([first]);
  requestAnimationFrame(() => log.removeAttribute("aria-busy"));
}

for (const side of sides) {
  const log = pane(side).querySelector(".log");
  log.addEventListener("scroll", () => { if (isAtBeginning(side)) showEarlier(side); }, { passive: true });
  list(side).addEventListener("click", (event) => {
    if (!event.target.matches(".earlier a")) return;
    event.preventDefault();
    showEarlier(side);
  });
}

// --- what the server tells

let source = null;
let reopenTimer = 0;

function seqOf(side) {
  return Number((side === "group" ? /\.g(\d+)/ : /\.d(\d+)/).exec(cursor)[1]);
}

function onPost(event) {
  const post = JSON.parse(event.data);
  const last = seqOf(post.side);
  if (post.seq <= last) return;
  if (!post.missed && post.seq > last + 1) return open();  // something was lost: ask again from the last one seen
  cursor = event.lastEventId;
  const item = element(post.html);
  const isOwn = post.who === me;
  if (post.side === "group" && post.who) endTyping(post.who);
  if (isOwn) {
    item.classList.add("is-mine");
    document.getElementById(`pending-${post.key}`)?.remove();
  }
  if (post.place < beginsAt(post.side)) passed.set(item.id, item);
  else put(post.side, post.place, item, isOwn);
}

function onPeople(event) {
  if (connection !== "live" || lostTimer) showLive();  // the first word on each stream
  const people = JSON.parse(event.data);
  const names = people.names.join(", ") + (people.count > people.names.length ? ", …" : "");
  document.getElementById("people").textContent = `${people.count} ${people.count === 1 ? "person" : "people"}: ${names}`;
  if (who.open) showNames();
}

function stop(text) {
  source?.close();
  source = null;
  showOver(text);
}

function open() {
  source?.close();
  clearTimeout(reopenTimer);
  source = new EventSource(`${root}/events?since=${encodeURIComponent(cursor)}`);
  source.addEventListener("full", showFull);
  source.addEventListener("post", onPost);
  source.addEventListener("people", onPeople);
  source.addEventListener("typing", onTyping);
  source.addEventListener("reload", () => { source.close(); saveDrafts(); location.reload(); });
  source.addEventListener("replaced", () => stop("Paused here: open in other tabs"));
  source.addEventListener("gone", () => stop("You left the room"));
  source.addEventListener("error", onError);
}

async function onError() {
  showLost();
  if (source === null || source.readyState !== EventSource.CLOSED) return;  // the browser tries again by itself
  source = null;
  reopenTimer = setTimeout(async () => {
    try {
      const answer = await fetch(`${root}/me`, { headers: { Accept: "application/json" } });
      if (answer.status === 401) return stop("You are not in the room any more; reload to join");
    } catch { /* not there yet */ }
    open();
  }, 1500);
}

// --- who is here: all names while somebody looks at them

const who = document.getElementById("who");

async function showNames() {
  const answer = await fetch(`${root}/people`, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok) return;
  const told = await answer.json();
  const items = told.people.map((one) => {
    const item = document.createElement("li");
    item.textContent = one.name;
    if (one.is_demo) item.append(" ", element('<span class="tag">demo</span>'));
    return item;
  });
  if (told.count > items.length) {
    const more = document.createElement("li");
    more.textContent = `and ${told.count - items.length} more`;
    items.push(more);
  }
  document.getElementById("names").replaceChildren(...items);
}

who.addEventListener("toggle", () => { if (who.open) showNames(); });
document.addEventListener("click", (event) => { if (!who.contains(event.target)) who.open = false; });
who.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !who.open) return;
  who.open = false;
  who.querySelector("summary").focus();
});

// --- who is typing in the group: told every three seconds, shown for five

const typing = new Map();
let typingToldAt = 0;

function showTyping() {
  const names = Array.from(typing.keys());
  const shown = names.slice(0, 3).join(", ") + (names.length > 3 ? " and others" : "");
  document.getElementById("typing").textContent = names.length ? `${shown} ${names.length > 1 ? "are" : "is"} typing …` : "";
}

function endTyping(name) {
  clearTimeout(typing.get(name));
  if (typing.delete(name)) showTyping();
}

function onTyping(event) {
  const { who } = JSON.parse(event.data);
  clearTimeout(typing.get(who));
  typing.set(who, setTimeout(() => endTyping(who), 5000));
  showTyping();
}

document.getElementById("say-group").addEventListener("input", (event) => {
  if (!event.target.value || Date.now() - typingToldAt < 3000) return;
  typingToldAt = Date.now();
  navigator.sendBeacon(`${root}/typing`, new URLSearchParams({ token }));
});

// --- other rooms: what is new there, and what was read here

const otherRooms = document.getElementById("rooms");
let toldRead = "";
let readTimer = 0;

function tellRead() {
  clearTimeout(readTimer);
  readTimer = 0;
  const read = `${cursor.split(".")[0]}.g${readUpTo.group}.d${readUpTo.direct}`;
  if (read !== toldRead) navigator.sendBeacon(`${root}/seen`, new URLSearchParams({ token, cursor: read }));
  toldRead = read;
}

async function lookIntoRooms() {
  if (document.hidden || !otherRooms.hasAttribute("data-others")) return;
  const answer = await fetch("/rooms", { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok) return;
  const others = (await answer.json()).rooms.filter((room) => room.root !== root);
  const count = others.reduce((sum, room) => sum + room.unread, 0);
  const badge = otherRooms.querySelector(".badge");
  badge.hidden = !count;
  write(badge, String(count || ""));
  badge.setAttribute("aria-label", `${count} new`);
}

setInterval(lookIntoRooms, 15_000);
addEventListener("pagehide", tellRead);

// --- what the page sends: kept once by the server under its key, so a lost answer is simply asked again

const unreachable = "The server cannot be reached.";

async function postForm(path, fields) {
  const answer = await fetch(root + path, {
    method: "POST",
    headers: { Accept: "application/json", "X-CSRF-Token": token },
    body: new URLSearchParams(fields),
  });
  const told = await answer.json().catch(() => ({}));  // read also when not needed: it frees the connection
  return { ok: answer.ok, status: answer.status, told };
}

async function send(path, fields, post = postForm) {
  let delay = 1;
  for (;;) {
    try {
      const answer = await post(path, fields());
      if (answer.ok) return "";
      if (answer.status !== 503 && answer.status !== 408) return answer.told.error || "This did not work. Please reload the page.";
    } catch { /* no connection: try again */ }
    if (delay > 8) return unreachable;
    await pause(delay);
    delay *= 2;
  }
}

function pendingPost(side, text, key) {
  const item = element('<li class="post is-mine is-pending"><p class="head"><b class="who"></b></p><div class="said"><p class="text" dir="auto"></p></div></li>');
  item.id = `pending-${key}`;
  item.querySelector(".who").textContent = me;
  item.querySelector(".text").textContent = text;
  change(side, () => {
    list(side).querySelector(".empty")?.remove();
    list(side).append(item);
  }, true);
  return item;
}

async function say(side, text, key, item, files = []) {
  item.classList.remove("is-failed");
  item.querySelector(".failure")?.remove();
  const error = await send("/say", () => ({ side, text, key }), files.length ? postFiles(files, item) : postForm);
  if (!error || !item.isConnected) return;
  const line = document.createElement("p");
  line.className = "failure";
  line.setAttribute("role", "alert");
  line.textContent = `Not sent. ${error}`;
  line.dataset.reached = error !== unreachable;
  const again = document.createElement("button");
  again.type = "button";
  again.className = "quiet";
  again.textContent = "Try again";
  again.addEventListener("click", () => say(side, text, key, item, files));
  line.append(again);
  item.classList.add("is-failed");
  change(side, () => item.append(line), true);
}

// --- presses on ballots: one after the other, until they are there; at the ballot stands what is not

const presses = new Map();  // those of a ballot, by its id

function unsent(mine) {
  if (!mine) return [];
  return mine.isOneOf ? mine.queue.slice(-1) : mine.queue;
}

function note(id, text, isBad = false) {
  const ballot = document.getElementById(id)?.querySelector(".ballot");
  if (!ballot) return;
  const waiting = new Set(unsent(presses.get(id)).map((one) => one.value));
  for (const button of ballot.querySelectorAll(".choice")) button.classList.toggle("is-waiting", waiting.has(button.value));
  const line = ballot.querySelector(".note");
  line.classList.toggle("is-bad", isBad);
  change(id.split("-")[0], () => write(line, text), false, false);
}

function labels(mine) {
  return unsent(mine).map((one) => one.label).join(", ");
}

function noteWaiting(id) {
  const mine = presses.get(id);
  if (mine.isLost) note(id, `Not sent yet: ${labels(mine)}. Please keep this page open: it is sent when the server can be reached.`, true);
  else note(id, `Sending: ${labels(mine)} …`);
}

// The ballot was shown anew while presses wait.
function noteAnew(item) {
  const mine = presses.get(item.id);
  if (!mine) return;
  mine.told = item.querySelector(".note")?.textContent;
  noteWaiting(item.id);
}

function press(form, button) {
  const id = `${form.elements.side.value}-${form.elements.place.value}`;
  const isOneOf = !form.querySelector(".act");  // else of several, where each press counts
  const mine = presses.get(id) || { queue: [], isOneOf, isLost: false, told: null };
  const isNew = !presses.has(id);
  presses.set(id, mine);
  mine.queue.push({ value: button.value, label: button.textContent, key: newKey() });
  noteWaiting(id);
  if (isNew) sendPresses(id, mine);
}

async function sendPresses(id, mine) {
  const [side, place] = id.split("-");
  const fields = () => {
    // an earlier press of one choice could end the vote, and the last one would come too late
    if (mine.isOneOf) mine.queue.splice(0, mine.queue.length - 1);
    const { value, key } = mine.queue[0];
    return { side, place, value, key };
  };
  const post = async (path, told) => {
    try {
      const answer = await postForm(path, told);
      mine.isLost = false;
      return answer;
    } catch (error) {
      mine.isLost = true;
      noteWaiting(id);
      throw error;
    }
  };
  let sent = "";
  while (mine.queue.length) {
    const error = await send("/press", fields, post);
    if (error === unreachable) continue;
    const names = labels(mine);
    if (error) mine.queue = [];
    else sent = mine.queue.shift().label;
    if (mine.queue.length) {
      noteWaiting(id);
      continue;
    }
    presses.delete(id);
    if (error) note(id, `Not sent: ${names}. ${error}`, true);
    else note(id, mine.told ?? `Sent: ${sent}.`);  // until the bot says more
  }
}

// The second press of a double click is none.
document.addEventListener("click", (event) => {
  if (event.detail > 1 && event.target.closest(".ballot .choice")) event.preventDefault();
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches(".compose")) {
    event.preventDefault();
    const box = form.elements.text;
    const text = box.value.trim();
    const side = form.elements.side.value;
    const files = typeof takeChosen === "function" ? takeChosen(side) : [];  // of files.js, where files may be sent
    if (!text && !files.length) return;
    const key = newKey();
    box.value = "";
    typingToldAt = 0;
    box.focus();
    const item = pendingPost(side, text, key);
    if (files.length) change(side, () => showSending(item, files), true);
    say(side, text, key, item, files);
  } else if (form.matches(".ballot")) {
    event.preventDefault();
    if (event.submitter) press(form, event.submitter);
  }
});

const isTouch = matchMedia("(hover: none)").matches;
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || isTouch) return;
  if (!event.target.matches(".compose textarea")) return;
  event.preventDefault();
  event.target.form.requestSubmit();
});

// --- drafts survive a reload

function saveDrafts() {
  for (const side of sides) sessionStorage.setItem(`draft-${side}`, document.getElementById(`say-${side}`).value);
}

for (const side of sides) {
  const box = document.getElementById(`say-${side}`);
  const draft = sessionStorage.getItem(`draft-${side}`);
  if (draft && !box.value) box.value = draft;
  sessionStorage.removeItem(`draft-${side}`);
}

addEventListener("hashchange", showUnread);
addEventListener("resize", showUnread);
document.addEventListener("visibilitychange", () => {
  showUnread();
  if (document.hidden) tellRead();
  beginDay();
  lookIntoRooms();
  if (!document.hidden && source === null && statusLine.textContent.startsWith("Paused")) { connection = ""; open(); }
});
setInterval(beginDay, 60_000);
beginDay();
showUnread();
open();
