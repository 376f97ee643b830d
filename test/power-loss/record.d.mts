export function recordOf(number: number): {record: {number: number; text: string}};
export function numberIn(text: string): number;
export function cacheOf(number: number): string;
export const foreign: {kept: {text: string}};
