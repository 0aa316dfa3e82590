// The search lies in a shadow root, which style sheets do not reach, and shows where a page is in a grey too faint to read.
new MutationObserver(() => {
  for (const { shadowRoot } of document.querySelectorAll("body > *")) {
    if (!shadowRoot || shadowRoot.querySelector("#readable")) continue
    const style = document.createElement("style")
    style.id = "readable"
    style.textContent = "li, li + li::before { color: rgb(var(--color-foreground) / 0.72) }"
    shadowRoot.append(style)
  }
}).observe(document.body, { childList: true })
