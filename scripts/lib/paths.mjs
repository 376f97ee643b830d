import path from 'node:path';

/** The repository's top folder, absolute. */
export const root = path.resolve(import.meta.dirname, '..', '..');

/** @param {string[]} parts Path below the top folder. */
export const fromRoot = (...parts) => path.join(root, ...parts);
