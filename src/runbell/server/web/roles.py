"""What the roles are called, and what each may do, in words."""

from django.utils.translation import gettext_lazy

from runbell.core.permissions import Role

ROLES = {
    Role.ACCOUNT_ADMIN: gettext_lazy("Account admin"),
    Role.NOTIFICATION_MANAGER: gettext_lazy("Notification manager"),
    Role.DEVELOPER: gettext_lazy("Developer"),
    Role.VIEWER: gettext_lazy("Viewer"),
}
