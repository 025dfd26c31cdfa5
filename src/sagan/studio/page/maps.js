// Attention maps: from a place of the picture to the row of the map, and that row as colours over the grey picture.

import { HEAT } from "./colours.js";
import { imageData } from "./dom.js";

const SIDE = 384;

/** The blocks of a message of maps: see drawing.py. */
export function blocksOf(message) {
  return message.blocks.map((block) => ({
    ...block,
    map: message.arrays[`map${block.position}`].data,
    largest: message.arrays[`largest${block.position}`].data,
  }));
}

/** The row of the map for a place {u, v}, each from 0 to 1, to the right and down. */
export function lookFrom(block, { u, v }) {
  const [rows, columns] = block.queries;
  const row = Math.min(rows - 1, Math.floor(v * rows));
  const column = Math.min(columns - 1, Math.floor(u * columns));
  const query = row * columns + column;
  const count = block.keys[0] * block.keys[1];
  const shares = block.map.subarray(query * count, (query + 1) * count);
  const largest = block.largest[query];
  const uniform = 1 / count;
  let least = 255;
  for (const share of shares) if (share < least) least = share;
  // Colours go from the least share to the largest; a map that is nearly even does not get all of them.
  const low = least;
  const high = Math.max(255, (255 * 2 * uniform) / largest);
  return { row, column, shares, low, high, from: (low / 255) * largest, to: (high / 255) * largest, largest, uniform };
}

/** Where most of the attention goes, as {u, v}. */
export function mostAt(block, look) {
  let best = 0;
  look.shares.forEach((share, i) => { if (share > look.shares[best]) best = i; });
  const columns = block.keys[1];
  return { u: ((best % columns) + 0.5) / columns, v: (Math.floor(best / columns) + 0.5) / block.keys[0] };
}

/** A picture, prepared to be drawn over: in its colours, and dark and grey. */
export class Ground {
  constructor(pixels, height, width) {
    this.height = height;
    this.width = width;
    this.smooth = Math.max(height, width) >= 128;
    this.colour = canvasOf(imageData(pixels, height, width));
    const grey = imageData(pixels, height, width);
    for (let j = 0; j < grey.data.length; j += 4) {
      const light = 0.42 * (0.3 * grey.data[j] + 0.59 * grey.data[j + 1] + 0.11 * grey.data[j + 2]);
      grey.data[j] = grey.data[j + 1] = grey.data[j + 2] = light;
    }
    this.grey = canvasOf(grey);
  }
}

function canvasOf(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Draw the picture itself with the place pointed at. */
export function drawPicture(canvas, ground, place) {
  const context = prepared(canvas, ground);
  context.imageSmoothingEnabled = ground.smooth;
  context.drawImage(ground.colour, 0, 0, canvas.width, canvas.height);
  ring(context, place);
}

/** Draw where a block looks from a place. */
export function drawLook(canvas, ground, block, place) {
  const context = prepared(canvas, ground);
  const { shares, low, high } = lookFrom(block, place);
  const [rows, columns] = block.keys;
  const small = new ImageData(columns, rows);
  for (let i = 0; i < shares.length; i++) {
    const c = 3 * Math.round((255 * (shares[i] - low)) / Math.max(1, high - low));
    small.data.set([HEAT[c], HEAT[c + 1], HEAT[c + 2], 255], 4 * i);
  }
  context.globalCompositeOperation = "source-over";
  context.imageSmoothingEnabled = ground.smooth;
  context.drawImage(ground.grey, 0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "screen";
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(canvasOf(small), 0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "source-over";
  ring(context, place);
}

function prepared(canvas, { height, width }) {
  const scale = SIDE / Math.max(height, width);
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
  return canvas.getContext("2d");
}

function ring(context, { u, v }) {
  for (const [width, colour] of [[6, "#000"], [2.5, "#fff"]]) {
    context.beginPath();
    context.arc(u * context.canvas.width, v * context.canvas.height, 9, 0, 2 * Math.PI);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
  }
}
