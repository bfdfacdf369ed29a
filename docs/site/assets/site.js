// What the theme makes while a page loads, for people who read by keyboard or by ear: names for landmarks that share one,
// and a stop for Tab in what scrolls sideways.
function attend() {
  document.querySelectorAll(".md-code__nav:not([aria-label])").forEach((nav) => {
    nav.setAttribute("aria-label", `Code ${[...document.querySelectorAll(".md-code__nav")].indexOf(nav) + 1}`)
  })
  document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])").forEach((wrap) => {
    wrap.setAttribute("tabindex", "0")
  })
}

new MutationObserver(attend).observe(document.body, { childList: true, subtree: true })
attend()
