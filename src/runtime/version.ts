/** Name and version as sent to the authority; `test/unit/version.test.ts` holds them equal to package.json's. */

export const packageName = 'azure-shared-token-cache';
export const packageVersion = '1.0.0-beta.1';
