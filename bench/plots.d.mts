import type {Plots} from './results.js';

/** @returns File name without its ending -> SVG. */
export function drawPlots(data: Plots): Record<string, string>;
