// What scrolls sideways (a wide table, a long formula) can be reached with the keyboard, and then the arrow keys scroll it.
(function () {
  const BOXES = ".bd-article table, .bd-article pre, .bd-article .cell_output, .bd-article div.math, .bd-article mjx-container";

  function reach() {
    for (const box of document.querySelectorAll(BOXES)) {
      if (box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX)) {
        if (!box.hasAttribute("tabindex")) box.dataset.scrolled = box.tabIndex = 0;
      } else if (box.dataset.scrolled) {
        delete box.dataset.scrolled;
        box.removeAttribute("tabindex");
      }
    }
  }

  addEventListener("load", reach);
  addEventListener("resize", reach);
  document.addEventListener("click", () => setTimeout(reach, 50)); // something was unfolded
})();
