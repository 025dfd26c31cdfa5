// Small helpers for the document.

export const $ = (id) => document.getElementById(id);

/** Make an element: tag, properties, children. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** Show a command, its words whole where they fit: a browser would break a flag behind its dashes. */
export function tellCommand(box, command) {
  box.replaceChildren(...command.split(" ").flatMap((word, i) => [i ? " " : "", el("span", { textContent: word })]));
}

/** Say something to people who do not see the page. */
export const say = (text) => { $("said").textContent = text; };

/** Show what went wrong, or that nothing is wrong any more. */
export function complain(error) {
  const box = $("error");
  box.hidden = !error;
  box.textContent = error ? error.message ?? String(error) : "";
}

/** Draw RGB bytes into a canvas at their own size, which is its shape on the page as well. */
export function paint(canvas, pixels, height, width) {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(imageData(pixels, height, width), 0, 0);
}

/** Picture i of uint8 (N, H, W, 3), as { data, shape }: its bytes and its size, as paint() takes them. */
export function picture(images, i) {
  const [, height, width] = images.shape;
  const each = height * width * 3;
  return [images.data.subarray(i * each, (i + 1) * each), height, width];
}

export function imageData(pixels, height, width) {
  const image = new ImageData(width, height);
  const out = image.data;
  for (let i = 0, j = 0; j < out.length; i += 3, j += 4) {
    out[j] = pixels[i];
    out[j + 1] = pixels[i + 1];
    out[j + 2] = pixels[i + 2];
    out[j + 3] = 255;
  }
  return image;
}

/** Tell when what was just drawn is on the screen: tests and benchmarks listen. */
export function drawn(what, detail = {}) {
  requestAnimationFrame(() => document.dispatchEvent(new CustomEvent("studio:drawn", { detail: { what, ...detail } })));
}
