# Consul's intentions; consul.rbac.yaml is what its agents make of them.
Kind = "service-intentions"
Name = "api"
Sources = [
  { Name = "web", Action = "allow" },
  {
    Name = "mobile"
    Permissions = [
      { Action = "deny",  HTTP { PathPrefix = "/orders/7" } },
      { Action = "allow", HTTP { PathPrefix = "/orders", Methods = ["GET", "PUT"] } },
      { Action = "allow", HTTP { PathExact = "/health" } },
    ]
  },
  { Name = "old", Action = "deny" },
]
