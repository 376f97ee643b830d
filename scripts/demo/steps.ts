/** The report of one variant's child process to the demo. */

export type Variant = 'native' | 'pure';

/** A step and its duration in milliseconds. `note` is printed, and contains no secret. */
export type Step = {name: string; ms: number; note: string};

export type VariantReport = {
	variant: Variant;
	steps: Step[];
	accounts: Array<{username: string; homeAccountId: string; usable: boolean; source: string}>;
	/** Why the run ended early, in one line. */
	failure?: string;
};

export type VariantJob = {
	variant: Variant;
	scope: string;
	options: {username?: string; tenantId?: string; authorityHost?: string; tokenCachePersistenceOptions?: {name?: string; readOnly?: boolean}};
	/** The cache file in which to mark the access token as expired. Absent for real caches, which the demo never writes. */
	expirePath?: string;
	/** Only take the steps of a second process. */
	isNext?: boolean;
};
