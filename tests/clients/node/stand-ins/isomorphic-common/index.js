// The error that the SDK hands to its callers.
exports.LunaSecError = class LunaSecError extends Error {
  constructor({ name, message, code }) {
    super(message);
    this.name = name;
    this.code = code;
  }
};
