import type {Plots} from './results.js';

/** @returns SVG text by file name without extension. */
export function drawPlots(data: Plots): Record<string, string>;
