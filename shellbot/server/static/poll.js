// Keeps the page of one vote up to date while it is open.
"use strict";

const page = document.body.dataset;
const EVERY = 2000;

function show(poll) {
  const texts = { state: `${poll.state} ${poll.answered} of ${poll.asked} voted.`, verdict: poll.verdict };
  for (const [id, text] of Object.entries(texts)) {
    const line = document.getElementById(id);
    if (line && line.textContent !== text) line.textContent = text;
  }
  for (const [number, row] of Array.from(document.querySelectorAll("tbody tr")).entries()) {
    const told = poll.counts[number];
    row.querySelector("rect").setAttribute("width", told.bar);
    for (const [place, cell] of [told.votes, told.of_votes, told.of_all].entries()) row.cells[place + 1].textContent = cell;
  }
}

async function follow() {
  if (!document.hidden) {
    const answer = await fetch(`${location.pathname}.json`).catch(() => null);
    if (answer?.status === 410) return location.reload();
    const poll = answer?.ok ? await answer.json() : null;
    if (poll && (poll.is_over || Boolean(poll.counts) !== (page.counts === "1"))) return location.reload();
    if (poll) show(poll);
  }
  setTimeout(follow, EVERY);
}

if (page.over === "0") setTimeout(follow, EVERY);
