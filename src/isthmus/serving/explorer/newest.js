// Asks the server one thing at a time, and always the newest: what came while it was busy is dropped, so that nothing
// queues up there. A question is a list of numbers: its own number, then the place of an event or the sliders' values.
const PATIENCE = 3000 // milliseconds without an answer after which another question may be asked
const BUSY = 200 // milliseconds after which a wait is shown

let asked = 0, since = 0, waiting = false, setting = false, next = null, timer = null

function show_busy(busy, on) {
  clearTimeout(timer)
  if (busy == null) return
  if (on) timer = setTimeout(() => { busy.visible = true }, BUSY)
  else busy.visible = false
}

export default ({question, answer, values, sliders, mode, busy}, obj) => {
  if (values != null && obj === values) { // the server has moved the sliders: that is no question
    setting = true
    values.data.values.forEach((value, i) => { sliders[i].value = value })
    setting = false
    return
  }
  if (obj === answer) {
    waiting = false
    show_busy(busy, false)
  } else if (setting || (mode != null && mode.active !== 0)) {
    return
  } else if (sliders.length > 0) {
    next = sliders.map((slider) => slider.value)
  } else {
    next = obj.event_name === "mouseleave" ? [] : [obj.x, obj.y]
  }
  if (next != null && (!waiting || performance.now() - since > PATIENCE)) {
    const numbers = [++asked, ...next]
    waiting = true
    since = performance.now()
    next = null
    show_busy(busy, true)
    question.data = {numbers}
  }
}
