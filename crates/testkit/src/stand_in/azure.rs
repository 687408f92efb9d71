//! Microsoft Entra's token endpoint, and the managed identity endpoint.
