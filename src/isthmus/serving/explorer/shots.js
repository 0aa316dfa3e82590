// Zooms all pictures of a trial at one place, that of the pointer on any of them, and wipes one picture over another.
const heard = new WeakSet()

export default ({divs, zoom, wipe}, obj, data, {index}) => {
  const views = divs.flatMap((div) => [...index.find(div)])
  const set = (name, value) => views.forEach((view) => view.el.style.setProperty(name, value))
  set("--zoom", zoom.value)
  set("--wipe", `${wipe.value}%`)
  set("--wiping", wipe.value > 0 ? 1 : 0)
  for (const {el} of views) {
    if (heard.has(el)) continue
    heard.add(el)
    el.addEventListener("pointermove", (event) => {
      const box = el.getBoundingClientRect()
      set("--x", `${(100 * (event.clientX - box.left)) / box.width}%`)
      set("--y", `${(100 * (event.clientY - box.top)) / box.height}%`)
    })
  }
}
