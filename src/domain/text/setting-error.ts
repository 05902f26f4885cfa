/** A word of a setting that can't be read. The message says what is wrong with it, and what would be right. */
export class SettingError extends Error {}
