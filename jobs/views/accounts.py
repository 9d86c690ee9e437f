"""Signing in and out, and changing the password: Django's views, with our words."""

from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_not_required
from django.contrib.messages.views import SuccessMessageMixin
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator


# Whose session has expired is signed out already, and need not sign in to sign out.
@method_decorator(login_not_required, name="dispatch")
class SignOut(auth_views.LogoutView):
    def get_default_redirect_url(self) -> str:
        return f"{reverse('login')}?signed_out"


class PasswordChange(SuccessMessageMixin, auth_views.PasswordChangeView):
    success_url = reverse_lazy("jobs:overview")
    success_message = "Your password was changed."
