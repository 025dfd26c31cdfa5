// The colours of a map: from black over violet and orange to pale yellow. Lightness grows evenly, so the order of the
// colours is seen without telling red from green, and in grey.

const STOPS = [[0, 0, 4], [27, 12, 65], [74, 12, 107], [120, 28, 109], [165, 44, 96], [207, 68, 70], [237, 105, 37], [251, 155, 6], [247, 209, 61], [252, 255, 164]];

/** The colour of a share from 0 to 255, as 256 x RGB. */
export const HEAT = (() => {
  const table = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (STOPS.length - 1);
    const low = Math.min(Math.floor(place), STOPS.length - 2);
    for (let c = 0; c < 3; c++) table[3 * i + c] = STOPS[low][c] + (place - low) * (STOPS[low + 1][c] - STOPS[low][c]);
  }
  return table;
})();

export function drawLegend(canvas) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(256, 1);
  for (let i = 0; i < 256; i++) image.data.set([HEAT[3 * i], HEAT[3 * i + 1], HEAT[3 * i + 2], 255], 4 * i);
  canvas.width = 256;
  canvas.height = 1;
  context.putImageData(image, 0, 0);
}
