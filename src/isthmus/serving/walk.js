// Draws a walk on the map: clicks add places one by one, a drag draws a line. The server hears of it when it is done.
const APART = 5 // pixels between the places of a drawn line

let last = null, fresh = true

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
  const {x, y} = path.data
  switch (obj.event_name) {
    case "tap":
      put(fresh ? [obj.x] : [...x, obj.x], fresh ? [obj.y] : [...y, obj.y])
      fresh = false
      done(0)
      break
    case "panstart":
      put([obj.x], [obj.y])
      last = [obj.sx, obj.sy]
      break
    case "pan":
      if (last != null && Math.hypot(obj.sx - last[0], obj.sy - last[1]) < APART) break
      put([...x, obj.x], [...y, obj.y])
      last = [obj.sx, obj.sy]
      break
    case "panend":
      fresh = true // the next click begins another walk
      done(1)
      break
  }
}
