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

function graphicsPainter(canvas, points) {
  const gl = canvas.getContext("webgl", { antialias: false, failIfMajorPerformanceCaveat: true });
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
  const context = canvas.getContext("2d", { alpha: false });
  let image = null, inks = null, paper = 0;
  return {
    ratio: () => 1,
    recolor(data, background) {
      inks = data;
      paper = new Uint32Array(new Uint8Array([...background, 255]).buffer)[0];
    },
    paint(view, dot) {
      const { width, height } = canvas;
      if (!image || image.width !== width || image.height !== height) image = context.createImageData(width, height);
      const data = image.data, radius = Math.ceil(dot / 2 - 0.5), at = [], share = [];
      new Uint32Array(data.buffer).fill(paper);
      for (let dy = -radius; dy <= radius; dy++) {
        for (let dx = -radius; dx <= radius; dx++) {
          const covered = Math.min(1, dot / 2 + 0.5 - Math.hypot(dx, dy));
          if (covered > 0.05) at.push(4 * (dy * width + dx)), share.push(covered / 255);
        }
      }
      const left = width / 2 - view.x * view.scale, bottom = height / 2 + view.y * view.scale;
      for (let i = 0; 2 * i < points.length; i++) {
        const x = Math.round(left + points[2 * i] * view.scale);
        const y = Math.round(bottom - points[2 * i + 1] * view.scale);
        const alpha = inks[4 * i + 3];
        if (!alpha || x < radius || y < radius || x >= width - radius || y >= height - radius) continue;
        const red = inks[4 * i], green = inks[4 * i + 1], blue = inks[4 * i + 2], middle = 4 * (y * width + x);
        for (let k = 0; k < at.length; k++) {
          const p = middle + at[k], a = alpha * share[k];
          data[p] += (red - data[p]) * a;
          data[p + 1] += (green - data[p + 1]) * a;
          data[p + 2] += (blue - data[p + 2]) * a;
        }
      }
      context.putImageData(image, 0, 0);
    },
  };
}
