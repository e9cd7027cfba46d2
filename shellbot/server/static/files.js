// Files on the page: chosen by button, dropped or pasted, shown before they are sent, and sent with a bar of progress.
"use strict";

const mostFiles = Number(document.body.dataset.mostFiles);
const mostBytes = Number(document.body.dataset.mostBytes);
const chosen = { group: [], direct: [] };

function sizeText(bytes) {
  if (bytes < 1000) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  const units = ["kB", "MB", "GB", "TB"];
  let size = bytes / 1000;
  let unit = 0;
  while (size >= 999.95 && unit < units.length - 1) { size /= 1000; unit += 1; }
  return `${size.toFixed(1).replace(/\.0$/, "")} ${units[unit]}`;
}

function fileLine(file) {
  const line = element('<li><bdi class="name"></bdi> <span class="size"></span></li>');
  line.querySelector(".name").textContent = file.name;
  line.querySelector(".size").textContent = sizeText(file.size);
  return line;
}

function failureLine(text) {
  const line = document.createElement("p");
  line.className = "failure";
  line.setAttribute("role", "alert");
  line.textContent = text;
  return line;
}

// --- what is chosen for the next message, above its box

function tray(side) {
  const form = pane(side).querySelector(".compose");
  let box = form.querySelector(".tray");
  if (!box) {
    box = element('<div class="tray"><ul aria-label="Files to send"></ul></div>');
    form.prepend(box);
  }
  return box;
}

function showChosen(side, error) {
  const box = tray(side);
  box.querySelector(".failure")?.remove();
  box.querySelector("ul").replaceChildren(...chosen[side].map((file) => {
    const line = fileLine(file);
    const button = element('<button type="button" class="quiet">×</button>');
    button.setAttribute("aria-label", `Remove ${file.name}`);
    button.addEventListener("click", () => {
      chosen[side].splice(chosen[side].indexOf(file), 1);
      showChosen(side, "");
      document.getElementById(`say-${side}`).focus();
    });
    line.append(button);
    return line;
  }));
  if (error) box.append(failureLine(error));
  if (!error && !chosen[side].length) box.remove();
}

function choose(side, files) {
  const errors = [];
  for (const file of files) {
    if (file.size > mostBytes) errors.push(`${file.name} is too large: ${document.body.dataset.mostSize} are the most.`);
    else if (chosen[side].length >= mostFiles) errors.push(`${file.name} is one too many: ${mostFiles} files are the most for one message.`);
    else chosen[side].push(file);
  }
  showChosen(side, errors.slice(0, 3).join(" ") + (errors.length > 3 ? ` And ${errors.length - 3} more.` : ""));
}

// A folder looks like a file here, and fails only when it is read.
function dropped(transfer) {
  const folders = Array.from(transfer.items, (item) => item.webkitGetAsEntry?.()?.isDirectory === true);
  return Array.from(transfer.files).filter((_, index) => !folders[index]);
}

for (const side of sides) {
  const place = pane(side);
  const picker = document.getElementById(`files-${side}`);
  picker.addEventListener("change", () => {
    choose(side, picker.files);
    picker.value = "";
    document.getElementById(`say-${side}`).focus();
  });
  place.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    place.classList.add("is-over");
  });
  place.addEventListener("dragleave", (event) => {
    if (!place.contains(event.relatedTarget)) place.classList.remove("is-over");
  });
  place.addEventListener("drop", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    place.classList.remove("is-over");
    const files = dropped(event.dataTransfer);
    choose(side, files);
    if (!files.length) showChosen(side, "A folder cannot be sent; take the files in it.");
  });
  document.getElementById(`say-${side}`).addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    choose(side, event.clipboardData.files);
  });
}

// What is dropped beside a box must not replace the page.
for (const name of ["dragover", "drop"]) {
  addEventListener(name, (event) => { if (event.dataTransfer?.types.includes("Files")) event.preventDefault(); });
}

function takeChosen(side) {
  const files = chosen[side];
  chosen[side] = [];
  showChosen(side, "");
  return files;
}

// --- on the way: one try, with its progress; called by send() in app.js

function showSending(item, files) {
  const lines = document.createElement("ul");
  lines.className = "files";
  lines.append(...files.map(fileLine));
  item.querySelector(".said").append(lines, element('<progress class="progress" max="1" value="0" aria-label="Sending the files"></progress>'));
  if (!item.querySelector(".text").textContent) item.querySelector(".text").remove();
}

function postFiles(files, item) {
  const bar = item.querySelector("progress");
  return (path, fields) => new Promise((done, fail) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    for (const file of files) form.append("files", file);
    const request = new XMLHttpRequest();
    request.open("POST", root + path);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRF-Token", token);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => { if (event.lengthComputable) bar.value = event.loaded / event.total; });
    request.addEventListener("load", () => done({ ok: request.status < 300, status: request.status, told: request.response || {} }));
    request.addEventListener("error", () => fail(new Error("no connection")));
    request.send(form);
  });
}
