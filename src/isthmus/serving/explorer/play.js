// Plays the pictures of a walk forth and back, in the browser alone.
const PER_SECOND = 12

let timer = null, step = 1

export default ({button, position, frames, picture, spot}, obj, data, {index}) => {
  const {html, x, y} = frames.data
  const paint = (text) => { // past Bokeh, which would lay out the whole page again
    picture.setv({text}, {silent: true})
    for (const view of index.find(picture)) view.markup_el.innerHTML = text
  }
  const show = () => {
    const i = Math.min(position.value, html.length - 1)
    if (i < 0) return
    paint(html[i])
    spot.data = {x: [x[i]], y: [y[i]]}
  }
  const stop = () => {
    clearInterval(timer)
    timer = null
    button.label = "▶ Play"
  }
  const play = () => {
    stop()
    button.label = "❚❚ Pause"
    timer = setInterval(() => {
      const count = frames.data.html.length
      if (count < 2) return stop()
      if (position.value + step < 0 || position.value + step >= count) step = -step
      position.value = position.value + step
    }, 1000 / PER_SECOND)
  }
  if (obj === position) {
    show()
  } else if (obj === frames) { // another walk
    stop()
    position.disabled = button.disabled = html.length < 2
    position.end = Math.max(1, html.length - 1)
    step = 1
    position.value = 0
    show()
    if (html.length > 1) play()
    else { paint(""); spot.data = {x: [], y: []} }
  } else {
    timer == null ? play() : stop()
  }
}
