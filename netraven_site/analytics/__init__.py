"""The pages of the analytics, under /admin/analytics/."""
