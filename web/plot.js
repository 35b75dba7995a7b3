// Plots, drawn as SVG. One unit is one pixel, so letters stay letters, and they are drawn again when
// their place gets wider.

import { h, s } from './kit.js';

const HEIGHT = 170;
const LEFT = 56;
const RIGHT = 10;
const TOP = 12;
const BOTTOM = 20;

/**
 * @typedef {object} Series
 * @property {'bars' | 'line'} kind
 * @property {string} colour a custom property of the sheet
 * @property {(number | null)[]} values one for each step of time; bars stand on each other
 */

/**
 * A plot over time.
 * @param {string} label what is said of it to those who do not see it
 * @param {Series[]} series @param {(value: number) => string} unit @param {string[]} times one for each step
 */
export function plot(label, series, unit, times) {
  const box = h('div', { class: 'pb' });
  new ResizeObserver(([entry]) => {
    const width = Math.max(240, Math.floor(entry?.contentRect.width ?? 0));
    box.replaceChildren(draw(label, series, unit, times, width));
  }).observe(box);
  return box;
}

/** The next round number, so that the axis ends on it. @param {number} most */
export function ceiling(most) {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return power * ([1, 2, 2.5, 5, 10].find(step => step * power >= most) ?? 10);
}

/** @param {string} label @param {Series[]} series @param {(value: number) => string} unit @param {string[]} times @param {number} width */
function draw(label, series, unit, times, width) {
  const steps = times.length;
  const inner = width - LEFT - RIGHT;
  const bars = series.filter(({ kind }) => kind === 'bars');
  const stacked = times.map((_, at) => bars.reduce((sum, { values }) => sum + (values[at] ?? 0), 0));
  const lines = series.filter(({ kind }) => kind === 'line').flatMap(({ values }) => values.map(value => value ?? 0));
  const most = ceiling(Math.max(...stacked, ...lines, 0));
  const x = (/** @type {number} */ at) => LEFT + (at * inner) / steps;
  const y = (/** @type {number} */ value) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - BOTTOM - TOP);
  const grid = [0, 0.5, 1].map(part => [
    s('line', { x1: LEFT, x2: width - RIGHT, y1: y(part * most), y2: y(part * most), class: 'grid' }),
    s('text', { x: LEFT - 6, y: y(part * most) + 4, 'text-anchor': 'end' }, unit(part * most))]);
  const every = Math.ceil(steps / (width > 480 ? 4 : 2));
  const marks = times.flatMap((time, at) => (at % every === 0 ? [s('text', { x: x(at), y: HEIGHT - 5 }, time)] : []));
  return s('svg', { class: 'plot', viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: 'img', 'aria-label': label },
    grid.flat(), drawBars(bars, x, y, inner / steps), series.filter(({ kind }) => kind === 'line').map(({ values, colour }) => drawLine(values, colour, x, y)), marks);
}

/** @param {Series[]} bars @param {(at: number) => number} x @param {(value: number) => number} y @param {number} step */
function drawBars(bars, x, y, step) {
  const floor = /** @type {number[]} */ ([]);
  return bars.flatMap(({ values, colour }) => values.flatMap((value, at) => {
    const from = floor[at] ?? 0;
    floor[at] = from + (value ?? 0);
    if (!value) return [];
    return [s('rect', { x: x(at), y: y(from + value), width: Math.max(1, step - 2), height: y(from) - y(from + value), fill: `var(${colour})` })];
  }));
}

/** A line breaks where nothing is known. @param {(number | null)[]} values @param {string} colour @param {(at: number) => number} x @param {(value: number) => number} y */
function drawLine(values, colour, x, y) {
  let isDown = false;
  const path = values.map((value, at) => {
    if (value === null) {
      isDown = false;
      return '';
    }
    // A point without neighbours is drawn as a short stroke, so that it is seen.
    const isAlone = !isDown && (values[at + 1] ?? null) === null;
    const move = `${isDown ? 'L' : 'M'}${(x(at) - (isAlone ? 3 : 0)).toFixed(1)} ${y(value).toFixed(1)}`;
    isDown = true;
    return isAlone ? `${move}h6` : move;
  }).join('');
  return s('path', { d: path, fill: 'none', stroke: `var(${colour})`, 'stroke-width': 1.5 });
}

/** A bar that says how large a part is. @param {number} part 0 to 1 */
export function share(part) {
  return s('svg', { class: 'share', viewBox: '0 0 90 6', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    s('rect', { width: Math.max(1, 90 * part), height: 6, rx: 3 }));
}
