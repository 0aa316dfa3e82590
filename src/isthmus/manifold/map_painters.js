// Two ways of painting points: by WebGL where a graphics processor does it, else pixel by pixel. Both take 70,000 of
// them in a frame. A painter knows how many pixels of its canvas make one of the page, takes colours (red, green, blue
// and alpha of each point; alpha 0 hides it), and paints a view.

const VERTEX = `
  attribute vec2 place;
  attribute vec4 color;
  uniform vec2 middle, reach;
  uniform mediump float size;
  varying mediump vec4 ink;
  void main() {
    ink = color;
    gl_Position = vec4(color.a == 0.0 ? vec2(9.0) : (place - middle) / reach, 0.0, 1.0);
    gl_PointSize = size;
  }`;
const FRAGMENT = `
  precision mediump float;
  uniform mediump float size;
  varying mediump vec4 ink;
  void main() {
    float alpha = ink.a * clamp(size * (0.5 - length(gl_PointCoord - 0.5)), 0.0, 1.0);
    gl_FragColor = vec4(ink.rgb * alpha, alpha);
  }`;

// WebGL that the processor emulates is many times slower than the plain painter
const EMULATED = /swiftshader|llvmpipe|softpipe|software|basic render/i;

function graphicsPainter(canvas, points) {
  const trial = document.createElement("canvas").getContext("webgl");
  const told = trial && trial.getExtension("WEBGL_debug_renderer_info");
  const renderer = trial && trial.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : trial.RENDERER);
  if (!trial || EMULATED.test(renderer)) return null;
  const gl = canvas.getContext("webgl", { antialias: false });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const attribute = (name, size, kind, scaled) => {
    const buffer = gl.createBuffer(), at = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, kind, scaled, 0, 0);
    return (data) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    };
  };
  attribute("place", 2, gl.FLOAT, false)(points);
  const recolor = attribute("color", 4, gl.UNSIGNED_BYTE, true);
  const [middle, reach, size] = ["middle", "reach", "size"].map((name) => gl.getUniformLocation(program, name));
  return {
    ratio: () => devicePixelRatio,
    recolor,
    paint(view, dot, ratio) {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform2f(middle, view.x, view.y);
      gl.uniform2f(reach, canvas.width / (2 * view.scale * ratio), canvas.height / (2 * view.scale * ratio));
      gl.uniform1f(size, dot * ratio);
      gl.drawArrays(gl.POINTS, 0, points.length / 2);
    },
  };
}

function plainPainter(canvas, points) {
  const context = canvas.getContext("2d");
  let image = null, pixels = null, inks = null, paper = 0;
  return {
    ratio: () => 1,
    recolor(data, background) {
      inks = new Uint32Array(data.buffer);
      paper = new Uint32Array(new Uint8Array([...background, 0]).buffer)[0]; // see-through: the decoder's layer is below
    },
    // Red and blue of a pixel are mixed in one multiplication, green in another. step : paint one point in so many.
    paint(view, dot, ratio, step) {
      const { width, height } = canvas;
      if (!image || image.width !== width || image.height !== height) {
        image = context.createImageData(width, height);
        pixels = new Uint32Array(image.data.buffer);
      }
      const radius = Math.ceil(dot / 2 - 0.5), at = [], share = [];
      pixels.fill(paper);
      for (let dy = -radius; dy <= radius; dy++) {
        for (let dx = -radius; dx <= radius; dx++) {
          const covered = Math.min(1, dot / 2 + 0.5 - Math.hypot(dx, dy));
          if (covered > 0.1) at.push(dy * width + dx), share.push(Math.round(256 * covered));
        }
      }
      const left = width / 2 - view.x * view.scale, bottom = height / 2 + view.y * view.scale;
      for (let i = 0; i < inks.length; i += step) {
        const ink = inks[i], x = (left + points[2 * i] * view.scale) | 0;
        const y = (bottom - points[2 * i + 1] * view.scale) | 0;
        if (!(ink >>> 24) || x < radius || y < radius || x >= width - radius || y >= height - radius) continue;
        const redBlue = ink & 0xff00ff, green = ink & 0xff00, middle = y * width + x;
        for (let k = 0; k < at.length; k++) {
          const p = middle + at[k], below = pixels[p], a = ((ink >>> 24) * share[k]) >> 8;
          const mixed = (Math.imul(redBlue, a) + Math.imul(below & 0xff00ff, 256 - a)) >>> 8;
          const rest = (Math.imul(green, a) + Math.imul(below & 0xff00, 256 - a)) >>> 8;
          pixels[p] = 0xff000000 | (mixed & 0xff00ff) | (rest & 0xff00);
        }
      }
      context.putImageData(image, 0, 0);
    },
  };
}
