/** Starts the code under test in a process of its own. */

import {fileURLToPath} from 'node:url';
import type {CacheQuery, CacheSlice} from '../../../dist/backend/backend.js';
import type {GetTokenOptions, SharedTokenCacheAccount, SharedTokenCacheCredentialOptions} from '../../../dist/types.js';
import {runProgram} from './run-program.js';

export type ReaderJob = {
	variant: 'native' | 'pure';
	/** Asked of each source; the time is the process's own. */
	query: Omit<CacheQuery, 'nowSec'>;
	/** The endpoint that plays the authority. */
	server: {port: number; ca: string};
	/** Of the credential. */
	options: SharedTokenCacheCredentialOptions;
	/** Tokens to ask of the credential, one after the other. */
	requests: Array<{scope: string; options?: Pick<GetTokenOptions, 'enableCae' | 'tenantId' | 'claims'>}>;
};

export type SourceReport = {
	label: string;
	slice: CacheSlice | null;
	stamp: string | null;
	/** The code of the `StoreError`, where the source could not be read. */
	errorCode?: string;
};

export type TokenReport =
	| {token: string; expiresOnTimestamp: number}
	| {name: string; message: string; code?: string};

export type ReaderReport = {
	/** Each source that the variant can read. */
	sources: SourceReport[];
	accounts: SharedTokenCacheAccount[];
	tokens: TokenReport[];
};

const program = fileURLToPath(new URL('reader-program.ts', import.meta.url));

/** @param environment The whole environment of the process. */
export async function readInProcess(job: ReaderJob, environment: Readonly<Record<string, string | undefined>>): Promise<ReaderReport> {
	return JSON.parse(await runProgram(process.execPath, ['--import=tsx', program], {input: JSON.stringify(job), environment})) as ReaderReport;
}
