// Gives a figure the colours of the browser's theme, now and when that changes. `pairs`: light and dark colours.
const scheme = matchMedia("(prefers-color-scheme: dark)")
let dark = false

export default ({figure, pairs}) => {
  const change = () => {
    if (scheme.matches === dark) return
    dark = scheme.matches
    const to = new Map(pairs.map((pair) => dark ? pair : [...pair].reverse()))
    const set = (model, property, value) => { // here alone: the server need not hear of it
      model.setv({[property.attr]: value}, {silent: true})
      property.change.emit()
      model.change.emit()
    }
    for (const model of figure.references()) {
      for (const property of model) {
        const value = property.is_unset ? null : property.get_value()
        if (to.has(value)) set(model, property, to.get(value))
        else if (to.has(value?.value)) set(model, property, {...value, value: to.get(value.value)})
        else if (property.attr === "palette") set(model, property, value.map((one) => to.get(one) ?? one))
      }
    }
  }
  scheme.onchange = change
  change()
}
