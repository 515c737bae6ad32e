package components

import (
	"fmt"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/serviceaccount"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// writer makes the Google account of the backup's pods and lets their service
// account be it (Workload Identity): there is no key that could be lost.
func (b *billing) writer(enabled pulumi.ResourceOption) (pulumi.StringOutput, error) {
	a := b.args
	account, err := serviceaccount.NewAccount(b.ctx, b.name+"-writer", &serviceaccount.AccountArgs{
		Project: pulumi.String(a.Project),
		// 30 characters is all an account's id may have.
		AccountId:   pulumi.String(shorten(a.NamePrefix+"-journals", 30)),
		DisplayName: pulumi.String(shorten("Journal backup of "+a.NamePrefix, 100)),
	}, childOptions(b.Billing, enabled)...)
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("google account: %w", err)
	}
	_, err = serviceaccount.NewIAMMember(b.ctx, b.name+"-writer-identity", &serviceaccount.IAMMemberArgs{
		ServiceAccountId: account.Name,
		Role:             pulumi.String("roles/iam.workloadIdentityUser"),
		Member: pulumi.String(fmt.Sprintf("serviceAccount:%s.svc.id.goog[%s/%s]",
			a.Project, a.Namespace, BackupName)),
		// The pool of identities is there when a cluster that has it is.
	}, b.options()...)
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("workload identity: %w", err)
	}
	return account.Email, nil
}
