// Copies the link, where the browser lets pages do so.
"use strict";

const link = document.getElementById("link");
const copy = document.getElementById("copy");

link.addEventListener("focus", () => link.select());
if (navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    let told = "Copied.";
    try {
      await navigator.clipboard.writeText(link.value);
    } catch {
      link.focus();
      told = "It could not be copied; it is selected, so copy it by key or menu.";
    }
    document.getElementById("copied").textContent = told;
  });
}
