/** The name and version that are sent to the authority. A test compares them with package.json. */

export const packageName = 'azure-shared-token-cache';
export const packageVersion = '1.0.0-beta.1';
