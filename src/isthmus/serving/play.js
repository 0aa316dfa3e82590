// Plays the pictures of a walk forth and back, in the browser alone.
const PER_SECOND = 12

let timer = null, step = 1

export default ({button, position, frames, picture, spot}, obj) => {
  const {html, x, y} = frames.data
  const show = () => {
    const i = Math.min(position.value, html.length - 1)
    if (i < 0) return
    picture.text = html[i]
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
    else { picture.text = ""; spot.data = {x: [], y: []} }
  } else {
    timer == null ? play() : stop()
  }
}
