// What scrolls sideways (a wide table, a long formula, a figure on a phone) can be reached with the keyboard, and then the
// arrow keys scroll it. It fades at its right edge as long as something follows there.
(function () {
  const BOXES =
    ".bd-article table, .bd-article pre, .bd-article .cell_output, .bd-article div.math, .bd-article mjx-container, .ledger-window";

  // Narrower ones can be read in the width of a phone.
  const isWide = (figure) => figure.naturalWidth > 560 && !figure.classList.contains("fits");
  const fade = (box) => box.classList.toggle("scrolls-on", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);

  function reach() {
    for (const figure of document.querySelectorAll(".bd-article .cell_output img")) figure.classList.toggle("wide", isWide(figure));
    for (const box of document.querySelectorAll(BOXES)) {
      if (box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX)) {
        if (!box.hasAttribute("tabindex")) box.dataset.scrolled = box.tabIndex = 0;
        box.onscroll = () => fade(box);
        fade(box);
      } else {
        box.classList.remove("scrolls-on");
        if (!box.dataset.scrolled) continue;
        delete box.dataset.scrolled;
        box.removeAttribute("tabindex");
      }
    }
  }

  addEventListener("load", reach);
  addEventListener("resize", reach);
  document.addEventListener("click", () => setTimeout(reach, 50)); // something was unfolded
})();
