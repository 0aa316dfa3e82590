// Puts HTML into divs past Bokeh, which would lay out the whole page again for each of them.
export default ({content, divs}, obj, data, {index}) => {
  divs.forEach((div, i) => {
    const text = content.data.html[i]
    if (text === div.text) return
    div.setv({text}, {silent: true})
    for (const view of index.find(div)) view.markup_el.innerHTML = text
  })
}
