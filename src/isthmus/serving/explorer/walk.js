// Draws a walk on the map: clicks add places one by one, a drag draws a line. The server hears of it when it is done.
// Bokeh takes a drag that begins slowly for a press, and the second of two quick clicks for a double one.
const APART = 5 // pixels between the places of a drawn line

let last = null, held = null, fresh = true

export default ({mode, pan, path, drawn}, obj) => {
  const walking = mode.active === 1
  if (obj === mode) {
    pan.active = !walking
    fresh = true
    return
  }
  if (obj.event_name === "button_click") { // "Clear"
    fresh = true
    path.data = {x: [], y: []}
    drawn.data = {x: [], y: [], dragged: []}
    return
  }
  if (!walking) return
  const put = (x, y) => { path.data = {x, y} }
  const done = (dragged) => { drawn.data = {...path.data, dragged: path.data.x.map(() => dragged)} }
  const begin = ({x, y, sx, sy}) => {
    put([x], [y])
    last = [sx, sy]
  }
  const extend = ({x, y, sx, sy}) => {
    if (Math.hypot(sx - last[0], sy - last[1]) < APART) return
    put([...path.data.x, x], [...path.data.y, y])
    last = [sx, sy]
  }
  const add = ({x, y, sx, sy}) => {
    if (!fresh && Math.hypot(sx - last[0], sy - last[1]) < APART) return // both clicks of a double one
    put(fresh ? [x] : [...path.data.x, x], fresh ? [y] : [...path.data.y, y])
    last = [sx, sy]
    fresh = false
    done(0)
  }
  const end = () => {
    fresh = true // the next click begins another walk
    done(1)
  }
  switch (obj.event_name) {
    case "tap": case "doubletap": add(obj); break
    case "panstart": begin(obj); break
    case "pan": extend(obj); break
    case "panend": end(); break
    case "press": held = {place: obj, moved: false}; break
    case "mousemove":
      if (held == null) break
      if (!held.moved && Math.hypot(obj.sx - held.place.sx, obj.sy - held.place.sy) < APART) break
      if (!held.moved) begin(held.place)
      held.moved = true
      extend(obj)
      break
    case "pressup":
      if (held?.moved) end()
      else add(obj)
      held = null
      break
  }
}
